"""Collections and file operations, as the SDK and as a stranger see them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import globus_sdk
import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

NAMES = [
    "a space",
    "quote'\"",
    "per%20cent",
    "ha#sh?query&and=",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "-rf",
    "n" * 255,
    "日本語",
    "semi;colon\\back",
    "~",
    "...",
]


def refused(call: Callable[..., Any], *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        call(*args, **options)
    error = caught.value
    assert isinstance(error.code, str)
    assert isinstance(error.message, str)
    assert len(error.request_id) == 9
    return error.http_status, error.code


def test_endpoint_is_a_collection_that_needs_no_consent(lab: Lab) -> None:
    """It is of a type for which neither the SDK nor the CLI asks for data_access."""
    endpoint = lab.client.get_endpoint(lab.source_id)
    assert endpoint["display_name"] == "source"
    assert endpoint["entity_type"] == "GCP_mapped_collection"
    assert endpoint["high_assurance"] is False


def test_unknown_endpoint_is_not_found(lab: Lab) -> None:
    """A UUID of nobody and what is no UUID are both 404."""
    for endpoint in ("11111111-1111-1111-1111-111111111111", "nonsense"):
        assert refused(lab.client.get_endpoint, endpoint) == (404, "EndpointNotFound")


def test_search_finds_by_name(lab: Lab) -> None:
    """Search finds what is served, page by page."""
    assert [one["display_name"] for one in lab.client.endpoint_search("SOUR")] == ["source"]
    first = lab.client.endpoint_search(filter_scope="all", limit=1)
    assert (len(first["DATA"]), first["has_next_page"]) == (1, True)
    assert len(list(lab.client.paginated.endpoint_search("").items())) == 2
    assert not list(lab.client.endpoint_search("source", filter_non_functional=True))


def test_search_obeys_its_filters(lab: Lab) -> None:
    """Scopes, owners and types narrow the search; what globus-sdk calls exclusive is refused."""

    def names(text: str = "", **filters: Any) -> list[str]:
        return [one["display_name"] for one in lab.client.endpoint_search(text, **filters)]

    owner = lab.client.get_endpoint(lab.source_id)["owner_id"]
    both = ["source", "destination"]
    assert names() == names(filter_scope="all") == names(filter_scope="administered-by-me") == both
    assert names(filter_owner_id=owner) == names("EMULATOR@localhost") == both
    assert names(filter_entity_type="GCP_mapped_collection") == names(filter_non_functional=False) == both
    assert names(filter_owner_id=lab.client_id) == names(filter_entity_type="GCSv5_endpoint") == names("nobody") == []
    assert names(filter_non_functional=True) == names(filter_host_endpoint=lab.source_id) == []
    for scope in ("my-endpoints", "my-gcp-endpoints", "shared-by-me", "shared-with-me", "recently-used", "in-use"):
        assert names(filter_scope=scope) == []
    lab.put("file")
    lab.transfer("file")
    assert (names(filter_scope="recently-used"), names(filter_scope="in-use")) == (both, [])
    stuck = lab.submit("none")
    assert names(filter_scope="in-use") == both
    lab.client.cancel_task(stuck)
    for filters in (
        {"filter_scope": "mine"},
        {"filter_entity_type": "GCSv4_host"},
        {"filter_scope": "my-endpoints", "filter_owner_id": owner},
        {"filter_entity_type": "GCP_mapped_collection", "filter_non_functional": True},
    ):
        assert refused(lab.client.endpoint_search, "x", **filters) == (400, "ClientError.BadRequest")


def test_failures_are_told_in_the_words_of_gridftp(lab: Lab) -> None:
    """Programs take the message apart by its lines (contract section 2)."""
    lab.put("file")
    (lab.source / "out").symlink_to("/etc")
    cases = [
        ("stat", "none", "Path not found, Error (list)", "PATH_NOT_FOUND", 2),
        ("ls", "out", "Denied by endpoint, Error (list)", "PERMISSION_DENIED", 13),
        ("ls", "file", "Error (list)", "NOT_A_DIRECTORY", 20),
    ]
    for operation, name, first, code, number in cases:
        path = lab.path(name)
        answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/{operation}", params={"path": path}).json()
        lines = answer["message"].split("\n")
        assert (lines[0], lines[1]) == (first, f"Endpoint: source ({lab.source_id})")
        assert [line.partition(": ")[0] for line in lines[2:]] == ["Server", "Command", "Message", "---", "Details", ""]
        assert lines[3].endswith(f" {path}")
        assert rf"550-GlobusError: v=1 c={code}\r\n550-GridFTP-Errno: {number}\r\n" in lines[6]


def test_ls_orders_by_every_field(lab: Lab) -> None:
    """Each field of the contract, in both directions."""
    for size, name in enumerate(["a", "b", "c"]):
        os.utime(lab.put(name, b"x" * size), (0, 1000 - size))
        (lab.source / name).chmod(0o600 + size)
    (lab.source / "d").mkdir()
    os.utime(lab.source / "d", (0, 0))

    def names(orderby: str) -> str:
        listing = lab.client.operation_ls(lab.source_id, path=lab.path(), orderby=orderby)
        return "".join(one["name"] for one in listing)

    assert names("name DESC") == "dcba"
    assert names("type,name") == "dabc"
    assert names("size") in ("abcd", "dabc")
    assert names("last_modified") == "dcba"
    assert names("permissions DESC") == "dcba"
    assert names("user,group DESC,name DESC") == "dcba"


def test_ls_filters_by_time(lab: Lab) -> None:
    """A range of times holds both its ends, either may be left out, and several filters are alternatives."""
    for name, when in [("old", 1_000_000_000), ("mid", 1_100_000_000), ("new", 1_200_000_000)]:
        os.utime(lab.put(name), (0, when))

    def names(*filters: str) -> list[str]:
        listing = lab.client.operation_ls(lab.source_id, path=lab.path(), filter=list(filters))
        return [one["name"] for one in listing]

    assert names("last_modified:2004-11-09 11:33:20,2004-11-09 11:33:20") == ["mid"]
    assert names("last_modified:2004-11-09,") == ["mid", "new"]
    assert names("last_modified:,2004-11-09") == ["old"]
    assert names("last_modified:,2004-11-09", "name:new") == ["new", "old"]
    assert names("last_modified:2004-11-09,/name:!new") == ["mid"]


def test_ls_describes_files(lab: Lab) -> None:
    """A listing is sorted by name, and its file documents have whole seconds and octal permissions."""
    path = lab.put("b.txt", b"12345")
    path.chmod(0o640)
    os.utime(path, (0, 1610675150.9))
    lab.put("a/inner")
    listing = lab.client.operation_ls(lab.source_id, path=lab.path())
    assert [one["name"] for one in listing] == ["a", "b.txt"]
    assert [one["type"] for one in listing] == ["dir", "file"]
    document = listing["DATA"][1]
    assert document["last_modified"] == "2021-01-15 01:45:50+00:00"
    assert (document["permissions"], document["size"], document["link_target"]) == ("0640", 5, None)
    assert listing["path"] == listing["absolute_path"] == lab.path()
    assert (listing["length"], listing["total"]) == (2, 2)


def test_ls_of_home_echoes_the_tilde(lab: Lab) -> None:
    """`/~/` is the top of the collection, and so is no path at all."""
    assert lab.client.operation_ls(lab.source_id)["path"] == "/~/"
    for path in (f"/~/{lab.base}", f"~/{lab.base}"):
        listing = lab.client.operation_ls(lab.source_id, path=path)
        assert (listing["path"], listing["absolute_path"]) == (f"/~/{lab.base}/", f"/{lab.base}/")


def test_ls_filters_orders_and_pages(lab: Lab) -> None:
    """Clauses are joined by AND, repeated filters by OR, and total counts what passes."""
    for size, name in enumerate(["a.txt", "b.txt", "c.dat", ".hidden"]):
        lab.put(name, b"x" * size)
    lab.put("d.txt/inner")

    def names(**options: Any) -> list[str]:
        return [one["name"] for one in lab.client.operation_ls(lab.source_id, path=lab.path(), **options)]

    assert names(filter="name:~*.txt") == ["a.txt", "b.txt", "d.txt"]
    assert names(filter="name:~*.txt/type:file") == ["a.txt", "b.txt"]
    assert names(filter=["type:dir", "name:=c.dat"]) == ["c.dat", "d.txt"]
    assert names(filter="name:!~*.txt", show_hidden=False) == ["c.dat"]
    assert names(filter={"last_modified": ["2000-01-01", ""], "type": "file"}, orderby="size DESC")[0] == ".hidden"
    assert names(filter={"last_modified": ["", "2000-01-01"]}) == []
    assert names(orderby=["type", "name DESC"]) == ["d.txt", "c.dat", "b.txt", "a.txt", ".hidden"]
    page = lab.client.operation_ls(lab.source_id, path=lab.path(), limit=2, offset=1)
    assert ([one["name"] for one in page], page["total"]) == (["a.txt", "b.txt"], 5)


@pytest.mark.parametrize(
    "query",
    [
        "filter=colour:blue",
        "filter=nonsense",
        "orderby=colour",
        "orderby=name%20SIDEWAYS",
        "filter=last_modified:yesterday,",
        "limit=-1",
        "limit=two",
        "offset=%C2%B2",
        "show_hidden=maybe",
        "path=relative",
        "path=%2Fa%00b",
        "path=%2Fa%0Ab",
        "path=..",
    ],
)
def test_bad_queries_are_400(lab: Lab, query: str) -> None:
    """What cannot be understood is a bad request, with an error document."""
    answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/ls?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest")


def test_huge_numbers_are_cut(lab: Lab) -> None:
    """A limit of a thousand digits is a large limit."""
    lab.put("file")
    answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/ls?path={lab.path()}&limit={'9' * 6000}")
    assert answer.json()["length"] == 1


def test_ls_and_stat_failures(lab: Lab) -> None:
    """Each failure has the status and code of the contract."""
    lab.put("file")
    ls, stat = lab.client.operation_ls, lab.client.operation_stat
    assert refused(ls, lab.source_id, path=lab.path("none")) == (404, "ClientError.NotFound")
    assert refused(ls, lab.source_id, path=lab.path("file")) == (502, "ExternalError.DirListingFailed.NotDirectory")
    assert refused(stat, lab.source_id, path=lab.path("none")) == (404, "NotFound")
    assert refused(stat, lab.source_id, path=lab.path("file/below")) == (404, "NotFound")
    assert refused(stat, lab.source_id, path="/" + "x" * 300)[0] == 502


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_every_operation(lab: Lab, name: str) -> None:
    """A POSIX name goes through stat, ls, a transfer and rename unchanged."""
    lab.put(name)
    assert lab.client.operation_stat(lab.source_id, path=lab.path(name))["name"] == name
    assert [one["name"] for one in lab.client.operation_ls(lab.source_id, path=lab.path())] == [name]
    task = lab.transfer(name)
    assert (task["status"], lab.arrived()) == ("SUCCEEDED", [name])
    assert lab.moved(task["task_id"]) == [lab.path(name)]
    lab.client.operation_rename(lab.destination_id, lab.path(name), lab.path("plain"))
    assert lab.arrived() == ["plain"]


def test_names_that_json_cannot_carry_are_left_out(lab: Lab) -> None:
    """A name that is not UTF-8 is not listed and not walked."""
    lab.put("good")
    (lab.source / os.fsdecode(b"bad\xff")).write_bytes(b"")
    assert [one["name"] for one in lab.client.operation_ls(lab.source_id, path=lab.path())] == ["good"]
    assert lab.transfer("")["files"] == 1


def test_symlinks_are_described_by_what_they_lead_to(lab: Lab) -> None:
    """Type and size are the target's, and the link_ fields the link's own."""
    lab.put("file", b"123")
    (lab.source / "link").symlink_to("file")
    (lab.source / "broken").symlink_to("none")
    (lab.source / "escape").symlink_to("/etc/passwd")
    (lab.source / "loop").symlink_to("loop")
    found = {one["name"]: one for one in lab.client.operation_ls(lab.source_id, path=lab.path())}
    assert (found["link"]["type"], found["link"]["size"], found["link"]["link_target"]) == ("file", 3, "file")
    assert [found[name]["type"] for name in ("broken", "escape", "loop")] == ["invalid_symlink"] * 3
    assert found["escape"]["size"] == len("/etc/passwd")


def test_mkdir(lab: Lab) -> None:
    """One directory is made, in an existing one."""
    mkdir = lab.client.operation_mkdir
    assert mkdir(lab.source_id, lab.path("new"))["code"] == "DirectoryCreated"
    assert (lab.source / "new").is_dir()
    assert refused(mkdir, lab.source_id, lab.path("new")) == (502, "ExternalError.MkdirFailed.Exists")
    assert refused(mkdir, lab.source_id, lab.path("none/new"))[0] == 502
    assert refused(mkdir, lab.source_id, "relative") == (400, "ClientError.BadRequest")
    assert refused(mkdir, lab.source_id, "/")[0] == 502


def test_rename(lab: Lab) -> None:
    """A name is changed, but nothing is replaced and nothing is made up."""
    lab.put("old")
    lab.put("other")
    rename = lab.client.operation_rename
    assert refused(rename, lab.source_id, lab.path("old"), lab.path("other"))[1] == "ExternalError.RenameFailed.Exists"
    assert refused(rename, lab.source_id, lab.path("none"), lab.path("new")) == (404, "NotFound")
    assert refused(rename, lab.source_id, lab.path("old"), lab.path("none/new")) == (404, "NotFound")
    assert refused(rename, lab.source_id, "/", lab.path("new"))[0] == 403
    assert rename(lab.source_id, lab.path("old"), lab.path("new"))["code"] == "FileRenamed"


ESCAPES = ["/..", "/../..", "/a/../../etc", "/../../../../etc/passwd", "/%2e%2e/etc", "/..%2f..%2fetc", "/~/../.."]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_way_out_by_dots(lab: Lab, path: str) -> None:
    """Dots lead nowhere, however they are spelled."""
    for operation in ("ls", "stat"):
        for encoded in (path, quote(path, safe=""), quote(quote(path, safe=""), safe="")):
            answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/{operation}?path={encoded}")
            assert answer.status_code in (400, 404)
            assert "root" not in answer.text


def test_no_way_out_by_symlinks(lab: Lab, tmp_path: Path) -> None:
    """Absolute, relative and chained symlinks out of the folder are refused for reading and for writing."""
    (tmp_path / "secret").write_text("secret")
    (lab.source / "absolute").symlink_to(tmp_path)
    (lab.source / "relative").symlink_to(os.path.relpath(tmp_path, lab.source))
    (lab.source / "chain").symlink_to("absolute")
    for name in ("absolute", "relative", "chain"):
        path = lab.path(name)
        denied = (403, "EndpointPermissionDenied")
        assert refused(lab.client.operation_ls, lab.source_id, path=path) == denied
        assert refused(lab.client.operation_stat, lab.source_id, path=f"{path}/secret") == denied
        assert refused(lab.client.operation_mkdir, lab.source_id, f"{path}/new") == denied
        assert refused(lab.client.operation_rename, lab.source_id, f"{path}/secret", lab.path("x")) == denied
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_unknown_routes_and_methods_answer_in_json(lab: Lab) -> None:
    """There is no HTML anywhere but at home."""
    for method, path, status in [("GET", "/nowhere", 404), ("DELETE", "/v0.10/task_list", 405), ("GET", "//", 404)]:
        answer = lab.raw(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert set(answer.json()) == {"code", "message", "request_id", "resource"}
    assert lab.raw("GET", "/").status_code == 200


def test_large_directory_is_listed_quickly(lab: Lab) -> None:
    """Twenty thousand files are listed whole."""
    for number in range(20_000):
        os.close(os.open(lab.source / f"{number:05}", os.O_CREAT | os.O_WRONLY))
    assert lab.client.operation_ls(lab.source_id, path=lab.path())["length"] == 20_000
