"""Print the licence of each package that an installation of this project needs: name, version, licence.

python scripts/dev/licences.py             # what the package itself needs
python scripts/dev/licences.py tensorboard dev   # with extras
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

ROOT = "tiny-diffusion"


def licence(package: Distribution) -> str:
    """The licence that a package names: as an expression, else by classifiers, else in its own words."""
    meta = package.metadata
    classes = [c.split(" :: ")[-1] for c in meta.get_all("Classifier", []) if c.startswith("License ::")]
    named = meta.get("License-Expression") or ", ".join(classes) or (meta.get("License") or "").strip().split("\n")[0]
    return named or "not named"


def needed(package: Distribution, extras: list[str]) -> list[str]:
    """Names that ``package`` requires, with ``extras``; markers of other systems count as well."""
    found = []
    for requirement in package.requires or []:
        of_extra = re.search(r"extra == ['\"](.+?)['\"]", requirement)
        if of_extra is None or of_extra[1] in extras:
            found.append(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])
    return found


def main() -> None:
    waiting, known = [ROOT], set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in known:
            continue
        known.add(name)
        try:
            package = distribution(name)
        except PackageNotFoundError:  # for another system
            continue
        waiting += needed(package, sys.argv[1:] if name == ROOT else [])
        print(f"{name:28} {package.version:16} {licence(package)}")


if __name__ == "__main__":
    main()
