"""From a book to a text, all from Python: prepare, train, measure, write.

python examples/train_from_python.py book.txt          # a 2M model; about a quarter of an hour on two cores
python examples/train_from_python.py book.txt --preset smoke    # less than a minute, to see that it runs
"""

import argparse
from pathlib import Path

from tiny_diffusion import Writer
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.training.events import Finished, StepDone, Validated
from tiny_diffusion.training.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare a book, train on it, and write.")
    parser.add_argument("book", help="a .txt, .epub or .html file, or gutenberg:84")
    parser.add_argument("--preset", default="cpu_2m", help="name of a whole-project preset")
    parser.add_argument("--output", type=Path, default=Path("outputs/from_python"), help="folder for data and run")
    parser.add_argument("--length", type=int, default=60, help="tokens to write")
    options = parser.parse_args()

    # Any setting can be changed by its dotted name; a wrong name or value is an error that says what is right.
    config = ProjectConfig.preset(options.preset).override(**{"training.seed": 1})

    # Preparation and training are generators of events: this loop decides what is shown, and may stop at any time.
    for step in prepare(options.book, options.output / "processed", config.pipeline):
        print(step.name)
    data = load_processed(options.output / "processed")
    trainer = Trainer(config, data, options.output / "run")
    for event in trainer.run():
        if isinstance(event, StepDone) and event.step % 50 == 0:
            print(f"step {event.step} of {event.total}: loss {event.loss:.3f} nats per token")
        elif isinstance(event, Validated):
            print(f"validation: {event.bits_per_byte:.3f} bits per byte{', best so far' if event.best else ''}")
        elif isinstance(event, Finished):
            print(f"best checkpoint: {event.checkpoint}, {event.best_bits_per_byte:.3f} bits per byte")

    # With the data folder at hand the writer also tells how many words in a row each text copies from the book.
    writer = Writer.load(trainer.best_path, data_dir=options.output / "processed")
    for text in writer.write("", GenerationConfig(length=options.length, num_samples=2, seed=7)):
        print(f"\n{text.text}\n({text.steps} steps, at most {text.longest_copied_words} words in a row from the book)")


if __name__ == "__main__":
    main()
