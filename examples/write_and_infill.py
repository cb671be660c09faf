"""Write, continue, fill gaps and rewrite with a trained model, from Python.

python examples/write_and_infill.py outputs/best_model.pt
"""

import argparse

from tiny_diffusion import Refused, Writer
from tiny_diffusion.config import GenerationConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Write, fill gaps and rewrite with a trained model.")
    parser.add_argument("checkpoint", nargs="?", default="outputs/best_model.pt")
    parser.add_argument("--length", type=int, default=60, help="tokens to write")
    options = parser.parse_args()
    writer = Writer.load(options.checkpoint)
    settings = GenerationConfig(length=options.length, seed=3)

    [text] = writer.write("The value of", settings)
    print(f"continued: {text.text}")

    # A result holds its tokens and how sure the model was of each; here are the three least certain.
    tokens = [writer.tokenizer.decode([i]) for i in text.ids]
    print("least certain:", sorted(zip(text.confidence, tokens, strict=True))[:3])

    # Everything outside the gaps is kept byte for byte. Each word of `must` stands in one of the gaps.
    try:
        [text] = writer.infill("The value is {1 word} when {2-3 words} ____.", settings, must=("name",))
        print(f"filled: {text.text}")
    except Refused as error:
        print(f"no filling was found: {error}")

    settings = settings.model_copy(update={"rewrite_strength": 0.4})
    [text] = writer.rewrite("The [[value]] of an expression is printed when it is not empty.", settings)
    print(f"rewritten: {text.text}")

    # The same work as a generator: a state after each step, with MASK (id 0) where a token is still open.
    for state in writer.writing("The", GenerationConfig(length=24, steps=24, seed=5)):
        if state.step % 6 == 0 or state.step == state.steps:
            print(f"step {state.step:2} of {state.steps}: {int((state.ids == 0).sum()):2} tokens open")


if __name__ == "__main__":
    main()
