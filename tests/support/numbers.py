"""Numbers of a page that lead to what they count: each has to be how many rows the list has that it leads to."""

import csv
import io
import re
from html import unescape

from httpx import Client

MOST_PAGES = 40
_LINK = re.compile(r'<a [^>]*?href="([^"]+)"[^>]*>\s*(?:<span[^>]*>)?\s*([\d,]+)\s*<')
_ROW = re.compile(r"<tr[\s>]")
_NEXT = re.compile(r'<a [^>]*rel="next"[^>]*href="([^"]+)"|<a [^>]*href="([^"]+)"[^>]*rel="next"')


def leading(page: str, to: str) -> dict[str, int]:
    """The numbers of a page (HTML) that lead to addresses which begin so, by address."""
    main = page.partition("<main")[2]
    found = [(unescape(link), int(said.replace(",", ""))) for link, said in _LINK.findall(main)]
    return {link: number for link, number in found if link.startswith(to)}


def rows(client: Client, link: str, within: str = "") -> int:
    """How many rows the list at an address has, on all its pages. `within`: the id of the heading that its table
    stands under, where the page has several tables.
    """
    count = 0
    for _ in range(MOST_PAGES):
        answer = client.get(link.partition("#")[0])
        assert answer.status_code == 200, (link, answer.status_code)
        main = answer.text.partition("<main")[2]
        part = main.partition(f'aria-labelledby="{within}"')[2].partition("</section>")[0] if within else main
        body = part.partition("<tbody")[2].partition("</tbody>")[0]
        count += len(_ROW.findall(body))
        following = _NEXT.search(part)
        if following is None:
            return count
        link = unescape(following[1] or following[2])
    raise AssertionError(f"{link} has too many pages")


def assert_counted(client: Client, page: str, to: str, within: str = "") -> dict[str, int]:
    """Each number of the page that leads to such an address is how many rows stand there; returns them."""
    found = leading(page, to)
    assert found, f"no number leads to {to}"
    for link, number in found.items():
        assert rows(client, link, within) == number, link
    return found


def assert_exported(client: Client, page: str, path: str = "", within: str = "") -> None:
    """The page leads to a file of CSV that has a row for each of its list, on all its pages. `path`: where the file is,
    where that is not beside the page.
    """
    place, _, query = page.partition("?")
    main = unescape(client.get(page).text.partition("<main")[2])
    file = path or f"{place}.csv"
    links = [link for link in re.findall(r'href="([^"]+)"', main) if link.partition("?")[0] == file]
    assert links, f"{page} does not lead to {file}"
    answer = client.get(next((link for link in links if query in link), links[0]))
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/csv"), file
    assert len([*csv.DictReader(io.StringIO(answer.text))]) == rows(client, page, within) > 0, file
