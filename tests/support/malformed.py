"""Malformed tables of own data, each with a part of the message that it must give."""

from __future__ import annotations

import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd

Transformer = Callable[[pd.DataFrame], pd.DataFrame]


def good_frame(n_days: int = 90) -> pd.DataFrame:
    """A small table that passes every check; two rows a day, city A first."""
    rng = np.random.default_rng(0)
    day = np.arange(n_days)
    return pd.DataFrame(
        {
            "date": np.repeat(pd.date_range("2023-01-02", periods=n_days).strftime("%Y-%m-%d"), 2),
            "city": np.tile(["A", "B"], n_days),
            "sales": rng.normal(500, 20, 2 * n_days).round(1),
            "ads": np.column_stack([day % 30 < 10, day % 40 > 30]).astype(int).ravel(),
            "event": [None] * (2 * n_days),
        }
    )


def _put(column: str, value, rows=slice(20, 21)) -> Transformer:
    """Write ``value`` into ``column`` at row positions; 20 is city A on 2023-01-12."""

    def change(frame):
        frame = frame.astype({column: object})
        frame.iloc[rows, frame.columns.get_loc(column)] = value
        return frame

    return change


def _third_city(frame):
    third = frame[frame["city"] == "A"]
    return pd.concat([frame, third.assign(city="C", sales=third["sales"].to_numpy()[::-1])])


def _no_common_period(frame):
    late = pd.to_datetime(frame["date"]) + pd.Timedelta(days=400)
    return frame.assign(
        date=frame["date"].where(frame["city"] == "A", late.dt.strftime("%Y-%m-%d"))
    )


#: Name to (change of the good table, part of the message).
MALFORMED: dict[str, tuple[Transformer, str]] = {
    "missing column": (
        lambda frame: frame.rename(columns={"sales": "orders"}),
        "sales: column missing (present: date, city, orders, ads, event); rename or add it",
    ),
    "two missing columns": (
        lambda frame: frame[["sales"]],
        "date, city: columns missing (present: sales); rename or add them",
    ),
    "unreadable date": (
        _put("date", "12/01/2023"),
        "date: 1 unreadable date (first '12/01/2023' in row 22); write dates as YYYY-MM-DD",
    ),
    "impossible date": (
        _put("date", "2023-02-30"),
        "date: 1 unreadable date (first '2023-02-30' in row 22); write dates as YYYY-MM-DD",
    ),
    "time within a day": (
        _put("date", "2023-01-12 06:00"),
        "date: 1 time within a day (first '2023-01-12 06:00' in row 22); "
        "add sales up to one row a day",
    ),
    "repeated row": (
        lambda frame: pd.concat([frame, frame.iloc[[20]]]),
        "date, city: 1 repeated row (first 2023-01-12, A in row 182); "
        "add them up or drop the repeats",
    ),
    "calendar gap": (
        lambda frame: frame.drop(index=[20, 22]),
        "date: 1 gap (first in A after 2023-01-11, 3 days instead of 1); add a row for each day, "
        "with sales blank on days when a city was closed",
    ),
    "negative sales": (
        _put("sales", -12.0),
        "sales: 1 negative value (first -12.0 on 2023-01-12 in A); set refunds to 0 or drop them",
    ),
    "sales in words": (
        _put("sales", "1,234.5 EUR", slice(20, 23, 2)),
        "sales: 2 non-numeric values (first '1,234.5 EUR' on 2023-01-12 in A); "
        "write plain numbers, without signs of currency or units",
    ),
    "infinite sales": (
        _put("sales", np.inf),
        "sales: 1 infinite value (first inf on 2023-01-12 in A); correct the export",
    ),
    "constant sales": (
        _put("sales", 500.0, slice(1, None, 2)),
        "sales: constant in B (always 500.0 from 2023-01-02); check the export or use another city",
    ),
    "mostly blank sales": (
        _put("sales", None, slice(1, 101, 2)),
        "sales: blank on 50 of 90 common days (first 2023-01-02 in B); fill in the sales, "
        "or use a period when both cities are open on most days",
    ),
    "too few days": (
        lambda frame: frame.iloc[:90],
        "date: 45 common days (A runs 2023-01-02 to 2023-02-15 and "
        "B runs 2023-01-02 to 2023-02-15), at least 60 are needed; add days",
    ),
    "no common period": (
        _no_common_period,
        "date: no common period (A runs 2023-01-02 to 2023-04-01 and "
        "B runs 2024-02-06 to 2024-05-05); use cities whose days overlap",
    ),
    "ads always on": (
        _put("ads", 2.5, slice(0, None, 2)),
        "ads: on every day in A (always 2.5) while both cities are open; "
        "use a period with and without ads, or leave the column out",
    ),
    "ads never on": (
        _put("ads", 0, slice(None)),
        "ads: never on in A or B while both cities are open; "
        "use a period with and without ads, or leave the column out",
    ),
    "negative ads": (
        _put("ads", -1),
        "ads: 1 negative value (first -1 on 2023-01-12 in A); write 0 where no ads ran",
    ),
    "ads in words": (
        _put("ads", "yes"),
        "ads: 1 non-numeric value (first 'yes' on 2023-01-12 in A); write plain numbers",
    ),
    "blank ads": (
        _put("ads", None),
        "ads: 1 blank value (first on 2023-01-12 in A); write 0 where no ads ran",
    ),
    "blank city": (
        _put("city", None),
        "city: 1 blank value (first in row 22); write the city on every row",
    ),
    "one city": (
        lambda frame: frame[frame["city"] == "A"],
        "city: 1 in the table (A), two are needed; add the other city's rows",
    ),
    "three cities": (
        _third_city,
        "city: 3 in the table (A, B, C), two are needed; name two of them in CITIES",
    ),
}


def good_price_frame(n_regions: int = 4, n_stores: int = 3, n_weeks: int = 8) -> pd.DataFrame:
    """A small panel of prices that passes every check; sorted by region, store and week."""
    rng = np.random.default_rng(0)
    shape = n_regions, n_stores, n_weeks
    region, store, week = (axis.ravel() for axis in np.indices(shape))
    price = rng.uniform(1, 2, region.size).round(2)
    return pd.DataFrame(
        {
            "region_id": np.array(["north", "east", "south", "west"])[region],
            "store_id": store,
            "time_step": week,
            "price": price,
            "quantity": (9 * price**-2.0 * rng.lognormal(0, 0.2, region.size)).round(3),
            "median_income": 30.0 + region,
        }
    )


#: As ``MALFORMED``, for prices; row position 20 is store 2 of region north in week 4.
MALFORMED_PRICES: dict[str, tuple[Transformer, str]] = {
    "missing column": (
        lambda frame: frame.drop(columns="store_id"),
        "store_id: column missing (present: region_id, time_step, price, quantity, median_income); "
        "rename or add it",
    ),
    "no time": (
        lambda frame: frame.drop(columns="time_step"),
        "time_step: column missing (present: region_id, store_id, price",
    ),
    "two times": (
        lambda frame: frame.assign(date="2024-01-01"),
        "time_step, date: both are given; drop one of them",
    ),
    "unknown column": (
        lambda frame: frame.rename(columns={"median_income": "median_incomes"}),
        "median_incomes: unknown column, close to median_income; rename or drop it",
    ),
    "price of zero": (
        _put("price", 0.0, slice(20, 22)),
        "price: 2 values not above zero (first 0.0 in row 22); "
        "its logarithm does not exist: correct the value or drop the row",
    ),
    "negative quantity": (
        _put("quantity", -1.5),
        "quantity: 1 value not above zero (first -1.5 in row 22); its logarithm",
    ),
    "price in words": (
        _put("price", "1,50"),
        "price: 1 non-numeric value (first '1,50' in row 22); write plain numbers",
    ),
    "infinite quantity": (
        _put("quantity", np.inf),
        "quantity: 1 infinite value (first inf in row 22); correct the export",
    ),
    "blank quantity": (
        _put("quantity", None),
        "quantity: 1 blank value (first in row 22); drop the row or fill it in",
    ),
    "income of zero": (
        _put("median_income", 0.0, slice(0, 24)),
        "median_income: 24 values not above zero (first 0.0 in row 2); an income is positive: ",
    ),
    "cost of zero": (
        lambda frame: frame.assign(cost=0.0),
        "cost: 96 values not above zero (first 0.0 in row 2); its logarithm does not exist",
    ),
    "blank region": (
        _put("region_id", None),
        "region_id: 1 blank value (first in row 22); write the region_id on every row",
    ),
    "blank store": (
        _put("store_id", " "),
        "store_id: 1 blank value (first ' ' in row 22); write the store_id on every row",
    ),
    "blank time": (
        _put("time_step", None),
        "time_step: 1 blank value (first in row 22); number the time of every row",
    ),
    "time in words": (
        _put("time_step", "week 4"),
        "time_step: 1 non-numeric value (first 'week 4' in row 22); write plain numbers",
    ),
    "unreadable date": (
        lambda frame: frame.rename(columns={"time_step": "date"}),
        "date: 96 unreadable dates (first 0 in row 2); write dates as YYYY-MM-DD",
    ),
    "repeated row": (
        _put("time_step", 3),
        "region_id, store_id, time_step: 1 repeated row (first north, 2, 3 in row 22); "
        "add them up or drop the repeats",
    ),
    "one price": (
        _put("price", 1.5, slice(24, 48)),
        "price: one price only in region east (always 1.5); "
        "an elasticity needs two: add time or drop the region",
    ),
    "income varies": (
        _put("median_income", 31.5),
        "median_income: not constant in region north (first 31.5 in row 22, after 30); "
        "give each region one value",
    ),
    "two regions": (
        lambda frame: frame.iloc[:48],
        "region_id: 2 in the table (east, north), at least 3 are needed; add regions",
    ),
}


def good_media_frame(n_weeks: int = 120) -> pd.DataFrame:
    """A small table of media that passes every check; one row a week."""
    rng = np.random.default_rng(0)
    week = np.arange(n_weeks)
    spend = rng.gamma(2.0, 50.0, (n_weeks, 2)).round(2)
    season = 200 * np.sin(2 * np.pi * week / 52)
    return pd.DataFrame(
        {
            "date": pd.date_range("2021-01-03", periods=n_weeks, freq="7D").strftime("%Y-%m-%d"),
            "sales": (1000 + season + spend.sum(axis=1) + rng.normal(0, 40, n_weeks)).round(1),
            "tv": spend[:, 0],
            "radio": spend[:, 1],
            "promo": (week % 9 == 0).astype(int),
        }
    )


#: As ``MALFORMED``, for media; row position 20 is the week of 2021-05-23.
MALFORMED_MEDIA: dict[str, tuple[Transformer, str]] = {
    "missing column": (
        lambda frame: frame.drop(columns="tv"),
        "tv: column missing (present: date, sales, radio, promo); rename or add it",
    ),
    "unreadable date": (
        _put("date", "23/05/2021"),
        "date: 1 unreadable date (first '23/05/2021' in row 22); write dates as YYYY-MM-DD",
    ),
    "repeated date": (
        _put("date", "2021-01-03"),
        "date: 1 repeated row (first 2021-01-03 in row 22); add them up or drop the repeats",
    ),
    "gap": (
        lambda frame: frame.drop(index=20),
        "date: 1 gap (first after 2021-05-16, 14 days instead of 7); add rows, "
        "with 0 where nothing was spent",
    ),
    "monthly": (
        lambda frame: frame.assign(
            date=pd.date_range("2001-01-01", periods=len(frame), freq="MS").strftime("%Y-%m-%d")
        ),
        "date: most rows are a month apart; this chapter reads days or weeks",
    ),
    "negative spend": (
        _put("radio", -3.5),
        "radio: 1 negative value (first -3.5 on 2021-05-23); set refunds to 0 or book them",
    ),
    "spend in words": (
        _put("tv", "1,5"),
        "tv: 1 non-numeric value (first '1,5' on 2021-05-23); write plain numbers",
    ),
    "blank spend": (
        _put("tv", None),
        "tv: 1 blank value (first on 2021-05-23); write 0 where nothing was spent",
    ),
    "blank sales": (
        _put("sales", None),
        "sales: 1 blank value (first on 2021-05-23); fill it in",
    ),
    "no spend": (
        lambda frame: frame.assign(tv=0),
        "tv: zero on every date; drop it, or check the export",
    ),
    "constant spend": (
        lambda frame: frame.assign(tv=7.5),
        "tv: 120 values and all the same (first 7.5 on 2021-01-03); a constant teaches nothing",
    ),
    "no sales": (
        lambda frame: frame.assign(sales=0),
        "sales: zero on every date; drop it, or check the export",
    ),
    "constant control": (
        lambda frame: frame.assign(promo=1),
        "promo: 120 values and all the same (first 1.0 on 2021-01-03); a constant teaches nothing",
    ),
    "too few weeks": (
        lambda frame: frame.iloc[:15],
        "date: 15 weeks to fit for 19 parameters; add rows, or name fewer channels and controls",
    ),
}


def good_store_frame() -> pd.DataFrame:
    """Two months of a few stores."""
    from helpers.stores.simulate import simulate_stores

    frame = simulate_stores(6, seed=1, n_days=60).data.reset_index(drop=True)
    return frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d"))


MALFORMED_STORES: dict[str, tuple[Transformer, str]] = {
    "missing column": (lambda frame: frame.drop(columns="promo"), "promo: column missing"),
    "unknown holiday": (_put("state_holiday", "x"), "state_holiday: 1 unknown code (first 'x' on"),
    "negative sales": (_put("sales", -3), "sales: 1 negative value (first -3 on"),
}


def write_xlsx(path, sheets: dict[str, list[list]]):
    """Write sheets of rows as a spreadsheet; a Timestamp becomes a cell with a date."""
    office = "http://schemas.openxmlformats.org"
    kinds = f"{office}/officeDocument/2006/relationships"
    main, package = f"{office}/spreadsheetml/2006/main", f"{office}/package/2006"

    def cell(value):
        if isinstance(value, pd.Timestamp):
            return f'<c s="1"><v>{(value - pd.Timestamp("1899-12-30")).days}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return "<c/>" if value is None or value != value else f"<c><v>{value}</v></c>"

    def links(targets):
        rows = (f'<Relationship Id="r{i}" Type="{kinds}/{k}" Target="{t}"/>' for i, k, t in targets)
        return f'<Relationships xmlns="{package}/relationships">{"".join(rows)}</Relationships>'

    n = range(len(sheets))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": links([(0, "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kinds}"><sheets>'
        + "".join(
            f'<sheet name="{s}" sheetId="{i + 1}" r:id="r{i}"/>' for i, s in enumerate(sheets)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": links(
            [*((i, "worksheet", f"sheet{i}.xml") for i in n), (99, "styles", "styles.xml")]
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    for i, rows in enumerate(sheets.values()):
        written = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/sheet{i}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{written}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def _rows(frame: pd.DataFrame) -> list[list]:
    return [list(frame.columns), *frame.astype(object).to_numpy().tolist()]


def _dated(form: str) -> Transformer:
    return lambda frame: frame.assign(date=pd.to_datetime(frame["date"]).dt.strftime(form))


def _sales(form: Callable) -> Transformer:
    return lambda frame: frame.assign(sales=[form(30 * v) for v in frame["sales"]])


def _csv(change: Transformer = lambda frame: frame, encoding="utf-8", edit=str, **options):
    return lambda frame, path: path.write_bytes(
        edit(change(frame).to_csv(index=False, **options)).encode(encoding)
    )


def _sheets(layout: Callable[[list[list]], dict[str, list[list]]]):
    def write(frame, path):
        dated = frame.assign(date=pd.to_datetime(frame["date"]))
        write_xlsx(path, layout(_rows(dated)))

    return write


def _swap(number: str) -> str:
    """Point and comma, the other way round."""
    return number.translate(str.maketrans(".,", ",."))


def _parquet(change: Transformer):
    return lambda frame, path: change(frame).to_parquet(path)


#: Name to (how the good table is written, part of a note or warning); all read the same.
WRITTEN = {
    "plain.csv": (_csv(), None),
    "utf16.csv": (_csv(encoding="utf-16", sep="\t"), "read as UTF-16"),
    "utf16-without-mark.csv": (_csv(encoding="utf-16-be"), "read as UTF-16"),
    "windows.csv": (
        _csv(lambda f: f.assign(note="Köln"), encoding="cp1252"),
        "read as Windows-1252 (it holds 'Köln')",
    ),
    "german.csv": (_csv(encoding="utf-8-sig", sep=";", decimal=","), "numbers have decimal commas"),
    "tabs.tsv": (_csv(sep="\t"), "tabs stand between the columns"),
    "tabs.xls": (_csv(sep="\t"), "tabs stand between the columns"),
    "bars.txt": (_csv(sep="|"), "bars stand between the columns"),
    "sep.csv": (_csv(sep=";", edit=lambda t: f"sep=;\n{t}"), "the line sep=; says"),
    "old-mac.csv": (_csv(edit=lambda t: t.replace("\n", "\r")), None),
    "title.csv": (
        _csv(edit=lambda t: f"Sales by city,,,,\n2023,,,,\n\n{t}"),
        "lines above the header are left out: 2",
    ),
    "comments.csv": (
        _csv(edit=lambda t: f"# ---\n# Sales, by city\n# ---\n{t}"),
        "lines above the header are left out: 3",
    ),
    "names.csv": (
        _csv(lambda f: f.rename(columns={"sales": " SALES", "date": "Date "})),
        "columns taken: 'Date ' as date, ' SALES' as sales",
    ),
    "index.csv": (_csv(lambda f: f.reset_index(names="")), None),
    "more.csv": (_csv(lambda f: f.assign(clerk="x")), "columns not used: clerk"),
    "early.csv": (
        _csv(lambda f: f.drop(columns="event"), edit=lambda t: t.replace("ads\n", "ads,event\n")),
        "180 rows end early (first row 2)",
    ),
    "dots.csv": (_csv(_dated("%d.%m.%Y")), "dates are read as day, month, year (31.01.2023 is"),
    "slashes.csv": (_csv(_dated("%m/%d/%Y")), "dates are read as month, day, year (01/31/2023"),
    "midnight.csv": (_csv(_dated("%m/%d/%Y 12:00:00 AM")), "dates are read as month, day, year"),
    "short-years.csv": (_csv(_dated("%d-%m-%y")), "(31-01-23 is 2023-01-31)"),
    "years-first.csv": (_csv(_dated("%y-%m-%d")), "(23-01-31 is 2023-01-31)"),
    "month-names.csv": (_csv(_dated("%d-%b-%y")), "(31-Jan-23 is 2023-01-31)"),
    "american.csv": (_csv(_dated("%b %d, %Y")), "(Jan 31, 2023 is 2023-01-31)"),
    "weekdays.csv": (_csv(_dated("%a %d/%m/%Y")), "(Tue 31/01/2023 is 2023-01-31)"),
    "german-months.csv": (
        _csv(
            lambda f: _dated("%d. %B %Y")(f).replace(
                {"date": {"January": "Januar", "February": "Februar", "March": "März"}}, regex=True
            )
        ),
        "(31. Januar 2023 is 2023-01-31)",
    ),
    "compact.csv": (_csv(_dated("%Y%m%d")), None),
    "zulu.csv": (_csv(_dated("%Y-%m-%dT00:00:00Z")), None),
    "flags.csv": (_csv(lambda f: f.assign(ads=f["ads"].astype(bool))), None),
    "none.csv": (_csv(lambda f: f.assign(event="none")), "'none' are ordinary days"),
    "excel.xlsx": (_sheets(lambda rows: {"Sales": rows}), None),
    "excel.csv": (_sheets(lambda rows: {"Sales": rows}), None),
    "two-sheets.xlsx": (
        _sheets(lambda rows: {"Sales": [["Sales"], [], *rows], "Notes": [["x"]]}),
        "sheet 'Sales' is read; there are others ('Notes')",
    ),
    "day-numbers.csv": (
        _csv(
            lambda f: f.assign(
                date=(pd.to_datetime(f["date"]) - pd.Timestamp("1899-12-30")).dt.days
            )
        ),
        "Excel's day numbers (44957 is 2023-01-31)",
    ),
    "index.parquet": (
        _parquet(
            lambda f: f.assign(
                city=f["city"].astype("category"), date=pd.to_datetime(f["date"])
            ).set_index("date")
        ),
        "columns taken from the index: date",
    ),
    "zone.parquet": (
        _parquet(
            lambda f: f.assign(
                date=pd.to_datetime(f["date"]).dt.tz_localize("Europe/Berlin"), event=""
            )
        ),
        "days of the time zone Europe/Berlin",
    ),
    "periods.parquet": (
        _parquet(lambda f: f.assign(date=pd.to_datetime(f["date"]).dt.to_period("D"))),
        None,
    ),
}

#: As ``WRITTEN``, with sales 30 times as large and two decimals.
THOUSANDS = {
    "american.csv": (_csv(_sales("{:,.2f}".format)), "15,075.00 is read as 15075.00"),
    "german.csv": (
        _csv(_sales(lambda v: _swap(f"{v:,.2f}")), sep=";"),
        "sales: 15.075,00 is read as 15075.00",
    ),
    "french.csv": (
        _csv(_sales(lambda v: _swap(f"{v:,.2f}").replace(".", "\u202f")), sep=";"),
        "blanks or apostrophes stand between thousands",
    ),
    "swiss.csv": (
        _csv(_sales(lambda v: f"{v:,.2f}".replace(",", "'"))),
        "blanks or apostrophes stand between thousands",
    ),
}

#: Name to (how the good table is written, part of the refusal).
HARD = {
    "epoch.csv": (
        _csv(lambda f: f.assign(date=pd.to_datetime(f["date"]).astype("int64") // 10**6)),
        "date: 180 unreadable dates (first 1672617600 in row 2)",
    ),
    "two-readings.csv": (
        _csv(lambda f: _dated("%d/%m/%Y")(f[pd.to_datetime(f["date"]).dt.day <= 12])),
        "date: '02/01/2023' is 2023-01-02 (--dates DMY) or 2023-02-01 (--dates MDY)",
    ),
    "german-thousands.csv": (
        _csv(lambda f: f.assign(sales=[f"{int(2 * v):,}".replace(",", ".") for v in f["sales"]])),
        "beside 994 is 1005 (--decimal ,) or 1.005 (--decimal .)",
    ),
    "american-thousands.csv": (
        _csv(lambda f: f.assign(sales=[f"{int(2 * v):,}" for v in f["sales"]])),
        "beside 994 is 1005 (--decimal .) or 1.005 (--decimal ,)",
    ),
    "currency.csv": (
        _csv(lambda f: f.assign(sales=[f"€ {v}" for v in f["sales"]])),
        "sales: 180 non-numeric values (first '€ 502.5' on 2023-01-02 in A)",
    ),
    "hexadecimal.csv": (
        _csv(lambda f: f.assign(sales=[hex(int(v)) for v in f["sales"]])),
        "sales: 180 non-numeric values (first '0x1f6'",
    ),
    "footer.csv": (_csv(edit=lambda t: f"{t}Total,,90000,,\n"), "in row 182); write the city"),
    "broken-off.csv": (_csv(edit=lambda t: t[:-20]), "city: 1 blank value (first in row 181)"),
    "unquoted.csv": (
        _csv(edit=lambda t: "\n".join(t.split("\n")[:1] + t.replace(".", ",").split("\n")[1:])),
        "unreadable (rows of 6 fields under 5 names)",
    ),
    "headless.csv": (_csv(header=False), "no names above the columns"),
    "page.xls": (lambda f, path: path.write_text(f.to_html()), "a web page; open it"),
    "alike.csv": (_csv(lambda f: f.assign(**{"Sales ": 1})), "columns of one name, 'sales', 'Sal"),
    "twice.csv": (
        _csv(edit=lambda t: t.replace("event", "sales", 1)),
        "sales: 2 columns of this name",
    ),
    "typo.csv": (_csv(lambda f: f.rename(columns={"event": "events"})), "close to event; rename"),
    "cover.xlsx": (
        _sheets(lambda rows: {"Cover": [["Report"]], "Data": rows}),
        "no table in sheet 'Cover'; name another with --sheet",
    ),
    "error.xlsx": (
        _sheets(lambda rows: {"S": [*rows[:5], [*rows[5][:2], "#N/A", 0, None], *rows[6:]]}),
        "sales: 1 non-numeric value (first '#N/A' on 2023-01-04 in A)",
    ),
    "cut.xlsx": (
        lambda f, path: path.write_bytes(write_xlsx(path, {"S": _rows(f)}).read_bytes()[:900]),
        "unreadable (",
    ),
    "utc.parquet": (
        _parquet(
            lambda f: f.assign(
                date=pd.to_datetime(f["date"]).dt.tz_localize("Europe/Berlin").dt.tz_convert("UTC")
            )
        ),
        "or convert UTC to the time zone of the shops",
    ),
    "year.csv": (_csv(_put("date", "2932-01-12")), "date: 1 date years apart from all others"),
    "weeks.csv": (
        _csv(
            lambda f: f.assign(
                date=np.repeat(pd.date_range("2021-01-04", periods=len(f) // 2, freq="7D"), 2)
            )
        ),
        "date: most rows are a week apart; this chapter reads days",
    ),
    "copies.csv": (
        _csv(lambda f: f.assign(sales=[k * v for v in f["sales"][::2] for k in (1, 3)])),
        "city: sales of B repeat those of A",
    ),
    "ordinary.csv": (
        _csv(lambda f: f.assign(event="normal day")),
        "event: 'normal day' on 180 of 180 city-days; leave ordinary days blank",
    ),
    "bom.csv": (lambda f, path: path.write_bytes(b"\xef\xbb\xbf\n"), "the file is empty"),
}
