"""Plugins from entry points: discovery, aliases, conflicts, broken ones, the switch."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ofa_instruction import (
    BackendSpec,
    Catalog,
    CatalogError,
    CriterionSpec,
    InstructionError,
    MetricSpec,
    ModalitySpec,
    PluginChoice,
    compile,
    default_catalog,
)

MODULE = """
from ofa_instruction import MetricSpec, ModalitySpec, Options
from pydantic import Field

class Scale(Options):
    factor: float = Field(default=1.0, gt=0)

SERIES = ModalitySpec(name="SERIES", processor="series", adaptor="frames", aliases=("CURVE",))
ACCURACY = MetricSpec(name="hit_rate", aliases=("hits",), options=Scale)
OTHER = MetricSpec(name="other")
LOWER = ModalitySpec(name="lower", processor="x", adaptor="x")
NOT_A_SPEC = 5
"""


class Site:
    """A folder on ``sys.path`` in which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entry_points: str, module: str = "") -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        if module:
            (self.folder / f"{distribution.replace('-', '_')}_specs.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("OFA_PLUGINS", raising=False)
    default_catalog.cache_clear()
    before = set(sys.modules)
    yield Site(tmp_path)
    default_catalog.cache_clear()
    for name in set(sys.modules) - before:
        if name.endswith("_specs"):
            del sys.modules[name]


def install_acme(site: Site) -> None:
    site.install(
        "acme-series",
        "[ofa.modalities]\nSERIES = acme_series_specs:SERIES\n[ofa.metrics]\nacme_accuracy = acme_series_specs:OTHER\n"
        "hit_rate = acme_series_specs:ACCURACY\n",
        MODULE,
    )


def test_nothing_is_imported_before_the_first_use(site: Site) -> None:
    install_acme(site)
    catalog = default_catalog()
    assert "acme_series_specs" not in sys.modules
    found = catalog.modality("SERIES")
    assert (found.spec.name, found.distribution) == ("SERIES", "acme-series")
    assert catalog.modality("CURVE") == found
    assert catalog.metric("hits").spec.name == "hit_rate"


def test_an_installed_modality_parses_without_a_catalog(site: Site) -> None:
    install_acme(site)
    from ofa_instruction import parse

    assert str(parse("[CURVE:a] -> [TEXT:b]")) == "[SERIES:a] -> [TEXT:b]"


def test_two_distributions_with_one_name_are_both_named(site: Site) -> None:
    install_acme(site)
    site.install("zeta", "[ofa.metrics]\nhit_rate = acme_series_specs:ACCURACY\n")
    catalog = Catalog.from_entry_points()
    with pytest.raises(CatalogError, match="`hit_rate` is provided by `acme-series` and by `zeta`") as caught:
        catalog.metric("hit_rate")
    assert caught.value.reason == "conflict"
    assert any("`acme-series` and by `zeta`" in problem.message for problem in catalog.problems())
    assert catalog.modality("SERIES").distribution == "acme-series"


@pytest.mark.parametrize(
    ("entry_point", "name", "message"),
    [
        ("[ofa.metrics]\nbad = zeta_missing:X\n", "bad", "ModuleNotFoundError"),
        ("[ofa.metrics]\nbad = acme_series_specs:NOTHING\n", "bad", "AttributeError"),
        ("[ofa.metrics]\nbad = acme_series_specs:NOT_A_SPEC\n", "bad", "is not a MetricSpec"),
        ("[ofa.metrics]\nbad = acme_series_specs:SERIES\n", "bad", "is not a MetricSpec"),
        ("[ofa.metrics]\nbad = acme_series_specs:OTHER\n", "bad", "names itself `other`"),
        ("[ofa.metrics]\nbad = zeta_specs:X\n", "bad", "ZeroDivisionError"),
    ],
)
def test_a_broken_plugin_is_reported_when_it_is_used(site: Site, entry_point: str, name: str, message: str) -> None:
    site.install("acme-series", "[ofa.metrics]\nhit_rate = acme_series_specs:ACCURACY\n", MODULE)
    site.install("zeta", entry_point, "1 / 0")
    catalog = Catalog.from_entry_points()
    assert catalog.metric("hit_rate").spec.name == "hit_rate"
    with pytest.raises(CatalogError, match=message) as caught:
        catalog.metric(name)
    assert (caught.value.reason, "`zeta`" in str(caught.value)) == ("broken", True)
    (problem,) = (problem for problem in catalog.problems() if problem.distribution == "zeta")
    assert (problem.group, problem.name) == ("ofa.metrics", "bad")


def test_a_broken_modality_is_said_to_be_broken_not_unknown(site: Site) -> None:
    site.install("zeta", "[ofa.modalities]\nSERIES = zeta_missing:X\nlower = zeta_specs:LOWER\n", MODULE)
    catalog = Catalog.from_entry_points()
    with pytest.raises(InstructionError, match="`SERIES` of `zeta` cannot be loaded") as caught:
        compile("[SERIES:a] -> [TEXT:b]", catalog, BackendSpec(name="x"))
    assert caught.value.code == "OFA-I105"
    assert any("upper case" in problem.message for problem in catalog.problems())


@pytest.mark.parametrize("by_argument", [True, False])
def test_third_parties_can_be_turned_off(site: Site, monkeypatch: pytest.MonkeyPatch, by_argument: bool) -> None:
    install_acme(site)
    if not by_argument:
        monkeypatch.setenv("OFA_PLUGINS", "off")
    catalog = Catalog.from_entry_points(third_party=False if by_argument else None)
    with pytest.raises(CatalogError, match="unknown modality `SERIES`"):
        catalog.modality("SERIES")


def test_own_plugins_come_first_in_declared_order(site: Site) -> None:
    install_acme(site)
    own = "[ofa.metrics]\nz = ofa_trainer_fake_specs:Z\na = ofa_trainer_fake_specs:A\n"
    site.install("Ofa_Trainer", own)
    module = 'from ofa_instruction import MetricSpec\nZ = MetricSpec(name="z")\nA = MetricSpec(name="a")\n'
    (site.folder / "ofa_trainer_fake_specs.py").write_text(module)
    names = [plugin.spec.name for plugin in Catalog.from_entry_points().plugins("ofa.metrics")]
    assert [name for name in names if name in ("z", "a", "hit_rate")] == ["z", "a", "hit_rate"]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    catalog = Catalog.from_specs(MetricSpec(name="accuracy"), MetricSpec(name="cider"))
    with pytest.raises(CatalogError, match=r"unknown metric `acuracy`\nknown: accuracy cider\ndid you mean `accuracy`\?"):
        catalog.metric("acuracy")
    with pytest.raises(CatalogError, match="the built-in ones come with `ofa-models`"):
        catalog.adaptor("text")


def test_explicit_composition() -> None:
    catalog = Catalog.from_specs(MetricSpec(name="a")).with_specs(MetricSpec(name="b", aliases=("c",)), distribution="mine")
    assert (catalog.metric("a").distribution, catalog.metric("c").distribution) == ("local", "mine")
    with pytest.raises(CatalogError, match="by `local` and by `mine`"):
        catalog.with_specs(MetricSpec(name="a", summary="another"), distribution="mine").metric("a")
    assert catalog.with_specs(MetricSpec(name="a")).metric("a").distribution == "local"


def test_a_choice_is_validated_against_the_plugin(catalog: Catalog) -> None:
    choice = PluginChoice(name="cross_entropy", distribution="test-plugins", options={"label_smoothing": 0.1})
    options = catalog.validate(choice, "ofa.criteria")
    assert options.model_dump() == {"label_smoothing": 0.1, "weight": 1.0}
    with pytest.raises(CatalogError, match=r"`label_smoothing` is 2: less than 1.0 is allowed\nknown: label_smoothing weight"):
        catalog.validate(choice.model_copy(update={"options": {"label_smoothing": 2}}), "ofa.criteria")
    with pytest.raises(CatalogError, match="`smoothing` is no key"):
        catalog.validate(choice.model_copy(update={"options": {"smoothing": 0.1}}), "ofa.criteria")
    with pytest.raises(CatalogError, match="comes from `elsewhere`, the installed one from `test-plugins`"):
        catalog.validate(choice.model_copy(update={"distribution": "elsewhere"}), "ofa.criteria")
    with pytest.raises(CatalogError, match="unknown criterion `focal`\nThe plan takes it from `elsewhere`"):
        catalog.validate(choice.model_copy(update={"name": "focal", "distribution": "elsewhere"}), "ofa.criteria")


def test_a_loaded_plan_is_validated_whole(catalog: Catalog, profile: BackendSpec) -> None:
    plan = compile("[IMAGE:i] -> ([BOX:b] [TEXT:t])*", catalog, profile)
    catalog.validate_plan(plan)
    inference = Catalog.from_specs(
        *(p for group in ("ofa.modalities", "ofa.processors", "ofa.adaptors") for p in catalog.plugins(group))  # type: ignore[arg-type]
    )
    inference.validate_plan(plan, with_criteria=False)
    with pytest.raises(CatalogError, match="unknown criterion"):
        inference.validate_plan(plan)


def test_specs_name_an_implementation_that_is_imported_late() -> None:
    spec = CriterionSpec(name="a", implementation="fractions:Fraction.from_float")
    assert spec.load()(0.5) == 0.5
    with pytest.raises(ValueError, match="implementation"):
        ModalitySpec(name="A", processor="a", adaptor="a", implementation="no colon")
