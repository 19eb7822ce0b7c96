"""Accuracy tables as a folder that `datasets.load_dataset` reads and a hub can hold: parquet beside a README."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import together, write_whole
from common.formats import write_text
from distill.recipes import MODES
from distill.tables import AccuracyTable, read_table, table_path
from spaces.nb201.cell import cell_at

MEANING = {
    "cell": "official NAS-Bench-201 index; the label holds for every cell of the same function",
    "arch": "the cell's official string",
    "seed": "draws the initial weights and the training images",
    "val, test": "accuracy in percent after the last step; empty where `status` is not `ok`",
    "log_likelihood": "mean of ln p(label) over the test images after the last step",
    "best": "highest test accuracy at the end of any epoch, for information",
    "epochs": "how long the training was; an epoch has the recipe's `epoch_steps` batches",
    "seconds": "seconds of a core that the training took",
    "status": "`ok`, or `diverged`",
}


def write_hub(benchmark: str, tables: Path, folder: Path) -> list[Path]:
    """Write `<mode>.parquet` of every accuracy table of a benchmark, and README.md, into the folder; returns the files.

    Raises BadInput where there is no table, a table is damaged, or a library that writes parquet is missing.
    """
    found = {mode: read_table(path) for mode in MODES if (path := table_path(benchmark, mode, tables)).exists()}
    if not found:
        raise BadInput(f"no accuracy tables of {benchmark} in {tables}: make them with `python -m distill run`")
    files = [*(folder / f"{mode}.parquet" for mode in found), folder / "README.md"]
    with together():
        for file, table in zip(files, found.values(), strict=False):
            write_whole(file, _parquet(table))
        write_text(files[-1], _card(benchmark, found))
    return files


def _parquet(table: AccuracyTable) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BadInput("parquet needs the library 'pyarrow': pip install 'diswot-bench[cifar]'") from error
    rows = table.rows.sort_values(["cell", "seed"]).dropna(axis=1, how="all")
    rows.insert(1, "arch", [str(cell_at(cell)) for cell in rows["cell"]])
    buffer = io.BytesIO()
    # without the index, and without pandas' own metadata, which names versions
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None), buffer)
    return buffer.getvalue()


def _card(benchmark: str, found: dict[str, AccuracyTable]) -> str:
    """README.md: the hub's YAML header, then what was trained, how and by what."""
    configs = "\n".join(f"- config_name: {mode}\n  data_files: {mode}.parquet" for mode in found)
    counts = ", ".join(
        f"`{mode}` {table.rows['cell'].nunique()} functions x {table.rows['seed'].nunique()} seeds"
        for mode, table in found.items()
    )
    columns = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in MEANING.items())
    recipes = "\n\n".join(f"`{mode}`:\n\n```json\n{_json(table.recipe)}\n```" for mode, table in found.items())
    made_by = sorted({name for table in found.values() for name in table.hardware})
    return f"""---
pretty_name: NAS-Bench-201 accuracies with and without distillation, {benchmark}
tags:
- neural-architecture-search
- knowledge-distillation
- nas-bench-201
configs:
{configs}
---

# {benchmark}: accuracies of NAS-Bench-201 cells, vanilla and distilled

{counts}. A function is a class of cells that no input tells apart at random initialisation; one of its cells was
trained. Vanilla and distilled trainings of a seed start from the same weights and see the same images in the same
order; nothing was selected on validation or test images.

```python
from datasets import load_dataset

load_dataset("FOLDER OR NAME", "{next(iter(found))}", split="train")
```

| column | meaning |
|---|---|
{columns}

## Recipes

{recipes}

Computed by: {"; ".join(made_by) or "unknown"}.
"""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True)
