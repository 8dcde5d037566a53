"""The menu shows what a visitor may see, and where they are."""

from dataclasses import dataclass

from tidegate.web.navigation import SECTIONS, menu


@dataclass
class Visitor:
    """Somebody with these scopes."""

    scopes: frozenset[str]
    name = "Ada"
    actor = "user:ada"
    known = True

    def may(self, scope: str) -> bool:
        return scope in self.scopes


VIEWER = Visitor(frozenset({"read", "revenue"}))
ADMIN = Visitor(frozenset({"read", "revenue", "operate", "admin"}))


def test_a_stranger_sees_no_menu() -> None:
    assert menu(None, "/login") == ([], [])


def test_a_section_whose_pages_one_may_not_see_is_left_out() -> None:
    titles = [one.title for one in menu(Visitor(frozenset({"read"})), "/").sections]
    assert "Revenue" not in titles
    assert "Revenue" in [one.title for one in menu(VIEWER, "/").sections]
    assert "Users" in [one.title for one in menu(ADMIN, "/connections").pages]
    assert "Users" not in [one.title for one in menu(VIEWER, "/connections").pages]
    assert menu(VIEWER, "/").pages == [], "one page alone needs no tab"


def test_the_page_that_is_shown_is_marked_in_its_section() -> None:
    shown = menu(VIEWER, "/alerts")
    assert [one.title for one in shown.sections if one.current] == ["Lifecycle"]
    assert [one.title for one in shown.pages if one.current] == ["Alerts"]


def test_what_lies_below_a_page_belongs_to_it() -> None:
    shown = menu(VIEWER, "/contacts/acme/1")
    assert [one.title for one in shown.sections if one.current] == ["Contacts"]
    assert not any(one.current for one in menu(VIEWER, "/contactsandmore").sections)


def test_no_page_is_in_the_menu_twice() -> None:
    paths = [one.path for _, entries in SECTIONS for one in entries]
    assert len(paths) == len(set(paths))
