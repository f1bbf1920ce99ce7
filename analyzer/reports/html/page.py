"""A diagnosis and the views of its trace as one HTML page."""

import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from deeplocalize.traces.header import Header

from ...conclusion import conclude, elsewhere, ending
from ...diagnosis import Diagnosis
from .charts import charts_of, library
from .facts import (
    as_number,
    configuration,
    data_rows,
    first_series,
    headline,
    kinds_of,
    layer_rows,
    onsets,
    recorded_kinds,
    series_facts,
    suspect_rows,
)
from .payload import pack
from .views import Views


def page(diagnosis: Diagnosis, header: Header, views: Views) -> str:
    """The whole document; a function of its arguments."""
    fault = diagnosis.first_fault
    shown = first_series(header, fault)
    overviews = [("whole run", views.overview)]
    if views.closeup is not None:
        overviews.append(("around the fault", views.closeup))
    payload = pack(overviews)
    facts = {
        "views": payload.views,
        "series": series_facts(header),
        "kinds": kinds_of(header),
        "shown": shown,
        "fault": None
        if fault is None
        else {"iteration": fault.moment.iteration, "series": fault.place.series},
        "histograms": {str(i): vars(one) for i, one in views.histograms.items()},
    }
    charts = charts_of(header, views, onsets(diagnosis.findings, fault), shown)
    return _template().render(
        diagnosis=diagnosis,
        fault=fault,
        header=header,
        headline=headline(diagnosis),
        conclusion=conclude(diagnosis),
        elsewhere=elsewhere(diagnosis),
        ending=ending(diagnosis.run),
        suspects=suspect_rows(diagnosis, header),
        layers=layer_rows(header, diagnosis),
        kinds=facts["kinds"],
        recorded=recorded_kinds(diagnosis.coverage),
        samples=views.samples,
        configuration=configuration(header),
        data=data_rows(header),
        charts=charts,
        facts=_script_safe(json.dumps(facts, allow_nan=False, separators=(",", ":"))),
        documents=_script_safe(charts.documents),
        items=_script_safe(charts.items),
        numbers=payload.numbers,
        css=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        library=Markup(library()),
    )


def _script_safe(document: str) -> Markup:
    """JSON that cannot end the script element it stands in."""
    for character in "<>&":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return Markup(document)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = as_number
    return environment.get_template("page.html")


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
