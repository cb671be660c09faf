"""Trains each config of a folder in the processes that torchrun started; a program for ``test_processes.py``."""

import sys
from pathlib import Path

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.training.events import RunLog
from tiny_diffusion.training.processes import joined
from tiny_diffusion.training.trainer import Trainer


def main(prepared: Path, configs: Path) -> None:
    data = load_processed(prepared)
    with joined("auto") as ranks:
        for path in sorted(configs.glob("*.toml")):
            trainer = Trainer(ProjectConfig.preset(str(path)), data, configs / path.stem, ranks=ranks)
            if not ranks.first:
                list(trainer.run())
                continue
            with RunLog(trainer.output) as log:
                for event in trainer.run():
                    log.write(event)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
