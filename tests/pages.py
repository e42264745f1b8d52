"""What the tests of the explorers share: the page as written, and as a browser sees it."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """Refuses elements that are not closed in order; collects ids and parts."""

    VOID = ("input",)

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.parts, self.text = [], [], {}, {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), "an attribute is given twice"
        if "id" in given:
            self.ids.append(given["id"])
        part = given.get("data-part")
        if part:
            assert part not in self.parts, f"{part} is there twice"
            self.parts[part], self.text[part] = given, ""
        if tag not in self.VOID:
            self.open.append((tag, part))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][1]:
            self.text[self.open[-1][1]] += data


def number(text):
    assert "-" not in text, "a hyphen instead of a minus sign"
    return float(text.replace("−", "-"))


def document(*explorers):
    body = "\n".join(f"<section>{made.html}</section>" for made in explorers)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Explorer</title>'
        '<meta name="viewport" content="width=device-width"><style>body { margin: 16px; '
        f"background: #111; color: #eee }}</style></head><body><main><h1>Explorer</h1>"
        f"{body}</main></body></html>"
    )


READ = """root => Object.fromEntries(
    [...root.querySelectorAll("[data-part]")].map(e => [e.dataset.part, e.textContent])
)"""
EDGES = """(root, css) => [...root.querySelectorAll(css)].map(e => {
    const box = e.getBoundingClientRect();
    return [box.left, box.right];
})"""
ATTRIBUTES = """root => Object.fromEntries(
    [...root.querySelectorAll("[data-part]")].map(e => [
        e.dataset.part, Object.fromEntries([...e.attributes].map(a => [a.name, a.value]))
    ])
)"""

# All controls at once, for the many states; the keyboard moves them one by one.
PUT = """(root, state) => {
    const controls = Object.entries(state).map(([name, value]) => {
        const control = root.querySelector(`[data-part="${name}"]`);
        control.value = value;
        return control;
    });
    controls.at(-1).dispatchEvent(new Event("input"));
    return controls.map(control => control.value);
}"""


def tour(page, states, *looks):
    """What the looks find in each state: one trip to the browser costs more than a look."""
    states = list(states)
    found = ", ".join(f"({look})(root)" for look in looks)
    stop = f"state => [({PUT})(root, state), {found}]"
    script = f"(root, states) => JSON.stringify(states.map({stop}))"
    seen = json.loads(page.locator(".lu-explorer").evaluate(script, states))
    for state, (there, *found) in zip(states, seen, strict=True):
        for control, value in zip(there, state.values(), strict=True):
            assert control == value or float(control) == float(value)
        yield found


def put(page, **state):
    list(tour(page, [state], "root => null"))
