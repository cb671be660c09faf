"""The notebooks are stored without outputs and run to their end, one after the other."""

from pathlib import Path

import pytest

from .conftest import make_book

nbformat = pytest.importorskip("nbformat")
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ORDER = ("first_steps", "data_exploration", "curriculum_analysis", "results_analysis")
SMALL = {'BOOK = ""': 'BOOK = "book.txt"', 'PRESET = "cpu_2m"': 'PRESET = "debug"'}


def test_outputs_are_stripped() -> None:
    found = {path.stem: nbformat.read(path, as_version=4) for path in NOTEBOOKS.glob("*.ipynb")}
    assert set(found) == set(ORDER)
    for notebook in found.values():
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_they_run(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    (tmp_path / "book.txt").write_text(make_book(30_000), encoding="utf-8")
    found = {name: nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4) for name in ORDER}
    client = nbclient.NotebookClient(found[ORDER[0]], timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    with client.setup_kernel():  # one for all, since each start imports torch
        for client.nb in found.values():
            for cell in client.nb.cells:
                for usual, small in SMALL.items():
                    cell.source = cell.source.replace(usual, small)
            client.nb.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # no name of the notebook before
            client.execute(cleanup_kc=False)
    shown = [out.data for cell in found["first_steps"].cells for out in cell.get("outputs", ()) if "data" in out]
    assert any("<blockquote" in data.get("text/html", "") for data in shown)
    assert (tmp_path / "outputs" / "notebook" / "run" / "best_model.pt").is_file()
