"""The modality holds the seam."""

import numpy as np
from ofa_instruction import Catalog
from ofa_modalities.testing import Sample, check_modality


def test_series_conforms(catalog: Catalog) -> None:
    report = check_modality(
        "SERIES",
        [Sample([1.0, 2.5]), Sample([0.0])],
        distance=lambda raw, value: float(np.abs(np.asarray(raw)[:, None] - value).max()),
        tolerance=1e-6,
        broken=["words", []],
        catalog=catalog,
    )
    assert (report.num_decoded, report.num_refused) == (2, 3)
