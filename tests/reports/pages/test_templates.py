from jinja2 import nodes

from gliascope.reports.pages.templates import _environment


def test_every_filter_in_a_template_is_one_that_there_is() -> None:
    environment = _environment()
    names = environment.list_templates()
    assert len(names) > 5
    for name in names:
        source, _, _ = environment.loader.get_source(environment, name)
        used = {one.name for one in environment.parse(source).find_all(nodes.Filter)}
        assert used <= environment.filters.keys(), name
