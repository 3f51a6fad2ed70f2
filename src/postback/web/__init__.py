"""The portal: pages for people, on the same actions as the API. `build(services)` is all of it.

How a page is made:

1. **A line in the table** of `routes.py`: method, path, the permission that it needs, its handler. Nothing else lets
   anybody in, and nothing else has to ask: the door (`door.py`) checks session, permission and form before a handler runs,
   and the tests walk the table (each route, as each role, with own, others' and unknown ids). Of a form that shows or
   changes what lets people in, `always` at the end of its line asks for the password again.
2. **A handler** in `pages/`, a file for each place: `async def show(visit: Visit) -> Response`. A `Visit` (`visit.py`) has
   all that it needs: `visit.account` (whose things), `visit.actor` (what actions take as `by`), `visit.services` (the
   actions), `visit.param("thing_id")`, `visit.asked("search")`, `await visit.form()`. It ends in one of
   `await visit.page("things/list.html", things=…)`, `visit.go("/things", "The thing was added.")` (after a change: a
   redirect, and what was done is said once on the next page) and `await visit.confirm(title=…, facts=…, …)`.
   Rules are the actions' own: a handler never repeats a check, and never catches what it cannot answer. NotFound,
   Forbidden, Conflict and the others become pages (`errors.py`).
3. **A form** is GET (show) and POST (take) of one path. The handler gives `form.filled(…)` or `form.fields(…)` to the
   action; on InvalidValue it shows the same page again, 422, with `form.wrong(error)`: nothing typed is lost, and what is
   wrong stands beside its field. To show what is stored: `Form.of(values)`. Whatever changes something is a POST.
4. **A template** in `templates/`, which begins with `{% extends "base.html" %}`, `{% import "ui.html" as ui with context %}`
   and has the blocks `title` and `content`. The macros of `ui.html` are the parts: `head` (title, and the button in the
   upper right), `field`, `select`, `checkbox`, `radios`, `checks`, `area`, `more` (fields that open), `problems`,
   `buttons`, `token` (in every form!), `act` (a button that changes), `table`, `empty`, `badge`, `state`, `time`, `cut`,
   `copy`, `text`, `tabs`, `facts`, `pager`, `cursor_pager`, `progress`, `search_box`. What a role may not do is not
   offered: `{% if visit.may("change configs") %}`. Text is escaped and what cannot be seen in it is named, always; never
   mark anything as safe.
5. **Scripts** are ES modules in `static/`, and only make smoother what works without them. No inline script, no style
   attribute, nothing from elsewhere: the policy (`headers.py`) forbids it, and a browser test fails on each report.
6. **A test** in `tests/web/`: `ann = await portal.signed_in(Role.EDITOR)`, `page = await ann.get("/things")`,
   `page.form().fill(name="x")`, `await ann.submit(form)`.
"""

from postback.web.app import build
from postback.web.services import Services

__all__ = ["Services", "build"]
