"""Paths are parted before they are decoded: an id keeps the slashes that it has."""

import asyncio
import importlib
import pkgutil
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor

import tidegate.api
from tidegate.api import problems
from tidegate.api.segments import WholeSegments

ROUTERS = [
    module.router
    for found in pkgutil.iter_modules(tidegate.api.__path__, "tidegate.api.")
    if hasattr(module := importlib.import_module(found.name), "router")
]


def asked(path: str, method: str = "GET") -> httpx.Response:
    """The answer of a small application."""
    app = FastAPI(redirect_slashes=False)
    app.add_middleware(WholeSegments)

    @app.get("/of/{one:segment}/and/{other:segment}")
    def show(one: str, other: str) -> list[str]:  # pyright: ignore[reportUnusedFunction]
        return [one, other]

    problems.install(app, [route for route in app.routes if isinstance(route, APIRoute)])

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize("id_", ["org/acme", "a?b", "a#b", "50%", "50%2F", "/", "//", "a b", "é/ü", "a+b", "\ue000/"])
def test_an_id_comes_as_it_was_meant(id_: str) -> None:
    answer = asked(f"/of/{quote(id_, safe='')}/and/{quote(id_[::-1], safe='')}?x=/%2F")
    assert (answer.status_code, answer.json()) == (200, [id_, id_[::-1]])


@pytest.mark.parametrize("path", ["/of/org/acme/and/b", "/of/a%2Fb/and", "/of/a%2Fb/and/c/", "/of//and/b"])
def test_a_path_that_is_none_says_so(path: str) -> None:
    answer = asked(path)
    assert (answer.status_code, answer.json()["reason"]) == (404, "route_not_found")
    assert path in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_method_that_is_none_names_those_that_are() -> None:
    answer = asked("/of/a%2Fb/and/c", "DELETE")
    assert (answer.status_code, answer.json()["reason"]) == (405, "method_not_allowed")
    assert answer.json()["detail"] == "/of/a%2Fb/and/c takes no DELETE, but GET."


def test_every_parameter_of_the_api_is_a_segment() -> None:
    parameters = [
        (route.path, name, convertor)
        for router in ROUTERS
        for route in router.routes
        for name, convertor in route.param_convertors.items()
    ]
    assert len(parameters) > 30
    assert not [one for one in parameters if isinstance(one[2], StringConvertor)]
