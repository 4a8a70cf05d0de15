"""Tables of scores as tests compare them."""

import csv


def scores_of(out):
    """Return the rows of scores.csv, without what differs from run to run.

    Names are written as they are first.
    """
    from napari_resonance.scoring.run import rebuild

    rebuild(out, identifiers=True)
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows
