"""Collections that are on no disk: what they show, what they give, and what they swallow."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.conftest import Lab

from prefect_globus.emulator.collections.shape import Directory, File, Shape, ShapeError, parse_shape
from prefect_globus.emulator.collections.synthetic import Content, Synthetic
from prefect_globus.emulator.process import EmulatorProcessError, running_emulator

if TYPE_CHECKING:
    from prefect_globus.emulator.process import Emulator

SHAPES = {
    "flat": "synthetic:files=7,size=100",
    "tree": "synthetic:files=50,dirs=7,depth=2,size=70000,seed=3",
    "changed": "synthetic:files=50,dirs=7,depth=2,size=70000,seed=3,changed=5",
    "million": "synthetic:files=1000000,dirs=1000,size=1MiB",
    "many": "synthetic:files=3000,dirs=3,depth=2,size=10",
    "watched": "synthetic:files=3000,dirs=3,depth=2,size=10,rate=1TB",  # a rate has each file moved by itself
    "slow": "synthetic:files=3,size=100kB,rate=100kB",
    "sink": "synthetic:files=0",
    "wide": "synthetic:files=100001",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    folder = tmp_path_factory.mktemp("folder")
    with running_emulator({**SHAPES, "folder": folder}, time_scale=200) as emulator:
        yield emulator, folder


class Trees(Lab):
    """A client that names collections."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        super().__init__(emulator, folder, folder, str(uuid.uuid4()))
        self.folder = folder

    def ls(self, name: str, path: str = "/", **options: Any) -> list[dict[str, Any]]:
        return list(self.client.operation_ls(self.emulator.collections[name], path=path, **options))

    def move(self, source: str, destination: str, *paths: tuple[str, str], **options: Any) -> str:
        of = self.emulator.collections
        data = globus_sdk.TransferData(of[source], of[destination], **options)
        for one, other in paths:
            data.add_item(one, other)
        return str(self.client.submit_transfer(data)["task_id"])

    def successes(self, task_id: str) -> list[dict[str, Any]]:
        return list(self.client.paginated.task_successful_transfers(task_id).items())


@pytest.fixture
def trees(served: tuple[Emulator, Path]) -> Trees:
    return Trees(*served)


def test_a_tree_looks_like_any_other(trees: Trees) -> None:
    """Directories, names, sizes and times follow from the text of the shape alone."""
    assert [(one["name"], one["type"]) for one in trees.ls("tree")] == [("d0", "dir"), ("d1", "dir"), ("d2", "dir")]
    assert [one["name"] for one in trees.ls("tree", "/d2")] == ["d0"]
    files = trees.ls("tree", "/d0/d1")
    assert [(one["name"], one["size"], one["permissions"]) for one in files[:2]] == [
        ("f0", 70000, "0644"), ("f1", 70000, "0644")
    ]  # fmt: skip
    assert [one["last_modified"] for one in files[:2]] == ["2023-11-10 13:21:01+00:00", "2023-11-10 11:09:02+00:00"]
    status = trees.client.operation_stat(trees.emulator.collections["tree"], "/d0/d1/f1")
    assert status.data == files[1]


def test_what_the_shape_does_not_have_does_not_exist(trees: Trees) -> None:
    """A path beside the shape is an error like that of a folder."""
    cases = [
        ("/d3", 404, "ClientError.NotFound"),
        ("/d0/d1/f0", 502, "ExternalError.DirListingFailed.NotDirectory"),
        ("/d0/d1/f0/x", 502, "ExternalError.DirListingFailed.NotDirectory"),
        ("/d00", 404, "ClientError.NotFound"),
        ("/d0/d٣", 404, "ClientError.NotFound"),
    ]
    for path, status, code in cases:
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            trees.ls("tree", path)
        assert (caught.value.http_status, caught.value.code) == (status, code), path


def test_a_listing_has_a_limit_here_too(trees: Trees) -> None:
    """One entry more than a listing may hold, and what still works (contract section 2)."""
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        trees.ls("wide", limit=1)
    assert (caught.value.code, caught.value.http_status) == ("ExternalError.DirListingFailed.SizeLimit", 502)
    assert "You can still transfer this directory" in caught.value.message


def test_ls_pages_and_filters_a_tree(trees: Trees) -> None:
    """As in a folder."""
    page = trees.ls("million", "/d007", limit=2, offset=998)
    assert [one["name"] for one in page] == ["f998", "f999"]
    assert [one["name"] for one in trees.ls("million", filter="name:~d00[12]")] == ["d001", "d002"]


def test_nothing_can_be_changed(trees: Trees) -> None:
    """Making and renaming are denied, in the words of the API."""
    tree = trees.emulator.collections["tree"]
    for call in (
        lambda: trees.client.operation_mkdir(tree, "/new"),
        lambda: trees.client.operation_rename(tree, "/d0", "/new"),
    ):
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            call()
        assert (caught.value.http_status, caught.value.code) == (403, "EndpointPermissionDenied")


def test_nothing_can_be_deleted(trees: Trees) -> None:
    """A delete task meets PERMISSION_DENIED."""
    data = globus_sdk.DeleteData(endpoint=trees.emulator.collections["tree"], recursive=True)
    data.add_item("/d0")
    task_id = trees.client.submit_delete(data)["task_id"]
    assert trees.wait(task_id, lambda task: task["faults"] > 0)["nice_status"] == "PERMISSION_DENIED"
    trees.client.cancel_task(task_id)
    assert len(trees.ls("tree")) == 3


def test_a_tree_is_written_to_a_folder(trees: Trees) -> None:
    """Its files are really there, no two alike, with the checksums that the task tells and the times if asked for."""
    task_id = trees.move("tree", "folder", ("/", "/tree"), verify_checksum=True, preserve_timestamp=True)
    task = trees.wait(task_id)
    assert (task["status"], task["files"], task["directories"], task["bytes_transferred"]) == (
        "SUCCEEDED", 50, 11, 50 * 70000
    )  # fmt: skip
    told = {one["destination_path"]: one["checksum"] for one in trees.successes(task_id)}
    files = [path for path in (trees.folder / "tree").rglob("*") if path.is_file()]
    found = {f"/{path.relative_to(trees.folder)}": hashlib.md5(path.read_bytes()).hexdigest() for path in files}
    assert told == found
    assert len(set(found.values())) == 50
    assert int((trees.folder / "tree/d0/d1/f0").stat().st_mtime) == 1699622461
    again = trees.wait(trees.move("tree", "folder", ("/", "/tree"), sync_level=3))
    assert (again["files_skipped"], again["files_transferred"]) == (50, 0)


def test_the_bytes_are_the_same_for_ever() -> None:
    """A checksum that was once recorded holds, so nobody's records become wrong by an update of ours."""
    digest = hashlib.sha256()
    content, size = Content(parse_shape(SHAPES["tree"])), 70000
    for position in range(0, size, 1000):
        digest.update(content.read(File(7), position, 1000))
    assert digest.hexdigest() == "a243447a88075902f779c40233548d0feb530add4471454e2d5f3142a766bbf4"
    assert content.checksum(File(7), "sha256") == digest.hexdigest()


def test_a_tree_swallows(trees: Trees) -> None:
    """What is written to it is gone, and what it shows is still its own shape."""
    (trees.folder / "mine").write_bytes(b"x" * 12345)
    before = trees.ls("flat")
    task_id = trees.move("folder", "flat", ("/mine", "/mine"), ("/mine", "/below/f0"), verify_checksum=True)
    task = trees.wait(task_id)
    assert (task["status"], task["files_transferred"], task["bytes_transferred"]) == ("SUCCEEDED", 2, 2 * 12345)
    assert {one["checksum"] for one in trees.successes(task_id)} == {hashlib.md5(b"x" * 12345).hexdigest()}
    assert trees.ls("flat") == before


def test_a_sync_level_asks_the_shape(trees: Trees) -> None:
    """A path of the shape exists at the destination, with its size and content, and any other does not."""
    exists = trees.wait(trees.move("flat", "flat", ("/", "/"), sync_level=3))
    assert (exists["files_skipped"], exists["files_transferred"]) == (7, 0)
    beside = trees.wait(trees.move("flat", "flat", ("/", "/beside"), sync_level=0))
    assert (beside["files_skipped"], beside["files_transferred"]) == (0, 7)
    other = trees.wait(trees.move("slow", "flat", ("/f0", "/f0"), sync_level=1))
    assert (other["files_skipped"], other["files_transferred"]) == (0, 1)


def test_a_file_is_no_directory_and_the_other_way_round(trees: Trees) -> None:
    """What is in the way of a file or of a directory is an error, as on disk."""
    for paths, code in [(("/f0", "/d0"), "IS_A_DIRECTORY"), (("/f0", "/d0/d0/f0/below"), "NOT_A_DIRECTORY")]:
        task_id = trees.move("flat", "tree", paths)
        assert trees.wait(task_id, lambda task: task["faults"] > 0)["nice_status"] == code
        trees.client.cancel_task(task_id)


def test_a_rate_is_held(trees: Trees) -> None:
    """Three files of 100 kB at 100 kB a second take three seconds, and can be canceled in the middle."""
    began = time.monotonic()
    task_id = trees.move("slow", "sink", ("/", "/"))
    trees.wait(task_id, lambda task: 0 < task["bytes_transferred"] < 200_000)
    assert trees.wait(task_id)["status"] == "SUCCEEDED"
    assert time.monotonic() - began >= 2.9
    task_id = trees.move("flat", "slow", ("/", "/"))
    assert trees.wait(task_id)["status"] == "SUCCEEDED"


def test_a_verified_tree_moves_at_once(trees: Trees) -> None:
    """A thousand files of a MiB are neither made nor kept, and still have checksums."""
    task_id = trees.move("million", "sink", ("/d042", "/x"), verify_checksum=True)
    task = trees.wait(task_id)
    assert (task["status"], task["bytes_transferred"]) == ("SUCCEEDED", 1000 * 1024**2)
    assert len({one["checksum"] for one in trees.successes(task_id)}) == 1000


def test_external_checksums_are_compared(trees: Trees) -> None:
    """Also those of a file that nobody reads."""
    of = trees.emulator.collections
    checksum = hashlib.sha256(Content(parse_shape(SHAPES["flat"])).read(File(2), 0, 100)).hexdigest()
    for text, status in [(checksum, "SUCCEEDED"), ("0" * 64, "FAILED")]:
        data = globus_sdk.TransferData(of["flat"], of["sink"])
        data.add_item("/f2", "/f2", external_checksum=text, checksum_algorithm="SHA-256")
        assert trees.wait(trees.client.submit_transfer(data)["task_id"])["status"] == status


def test_a_directory_beyond_the_limit_is_moved_as_a_whole(tmp_path: Path) -> None:
    """It is not listed, in a folder or in a shape, at its top or below, and each of its files is told of."""
    (tmp_path / "real").mkdir()
    for name in range(7):
        (tmp_path / f"real/{name}").write_bytes(b"x")
    served = {"folder": tmp_path, "tree": "synthetic:files=8,dirs=4,largest=5", "sink": "synthetic:files=0"}
    with running_emulator(served, listing_limit=6) as emulator:
        trees = Trees(emulator, tmp_path)
        for name, path in (("folder", "/real"), ("tree", "/d0")):
            with pytest.raises(globus_sdk.TransferAPIError, match="more than 6 entries") as caught:
                trees.ls(name, path)
            assert (caught.value.code, caught.value.http_status) == ("ExternalError.DirListingFailed.SizeLimit", 502)
            task_id = trees.move(name, "sink", (path, path))
            assert trees.wait(task_id)["files_transferred"] == 7
            assert len({one["source_path"] for one in trees.successes(task_id)}) == 7
        assert len(trees.ls("tree", "/d1", limit=100)) == 2


def test_changed_files_are_younger_longer_and_other(trees: Trees) -> None:
    """A sync level of any kind sees those that were changed, and no other."""
    for level in (1, 2, 3):
        task = trees.wait(trees.move("changed", "tree", ("/", "/"), sync_level=level))
        assert (task["files_transferred"], task["files_skipped"]) == (5, 45)
    content = Content(parse_shape(SHAPES["changed"]))
    bodies = {content.read(File(number), 0, 70001) for number in (9, 8)}
    assert sorted(len(body) for body in bodies) == [70000, 70001]
    assert content.checksum(File(9), "md5") == hashlib.md5(max(bodies, key=len)).hexdigest()


@pytest.mark.parametrize(
    "options", [{"verify_checksum": True}, {"sync_level": 3}, {}], ids=["checksum", "sync", "plain"]
)
def test_nobody_can_tell_that_files_pass_at_once(trees: Trees, options: dict[str, Any]) -> None:
    """Full bundles, one with files that are not there, odd spellings and a directory: the records are the same."""
    items = [(f"/d0/d0/f{number:03}", f"/x/0/{number}") for number in range(1000)]
    items += [("/d2/f000", "/x/none"), ("/d0/d0/f0", "/x/nothing")]
    items += [("/~/d1//d0/./f007", "/~/x//odd/"), ("/d1/d0/f008", "/f0"), ("/d1/d0", "/y")]
    items += [(f"/d1/d0/f{number:03}", f"/x/1/{number}") for number in range(1000)]
    items += [(f"/d0/d1/f{number:03}", f"/f{number}") for number in range(900)]
    found = {}
    for name in ("many", "watched"):
        task_id = trees.move(name, "flat", *items, skip_source_errors=True, **options)
        task = trees.wait(task_id)
        counters = {key: value for key, value in task.items() if type(value) is int and "second" not in key}
        skipped = sorted(row["source_path"] for row in trees.client.task_skipped_errors(task_id))
        found[name] = task["status"], counters, skipped, trees.successes(task_id)
    assert found["many"] == found["watched"]
    status, counters, skipped, successes = found["many"]
    assert (status, len(skipped), counters["subtasks_pending"]) == ("SUCCEEDED", 2, 0)
    assert counters["files_transferred"] == len(successes) == counters["files"] - counters["files_skipped"]


def test_bundles_survive_kills(tmp_path: Path) -> None:
    """Killed in the middle, the task ends with exact counters, and tells of each file once."""
    tree = "synthetic:files=40000,dirs=4,size=1kB"
    with running_emulator({"tree": tree, "sink": "synthetic:files=0"}, state=tmp_path / "state") as emulator:
        trees = Trees(emulator, tmp_path)
        items = [(f"/d{number // 10_000}/f{number % 10_000:04}", f"/{number}") for number in range(40_000)]
        task_id = trees.move("tree", "sink", *items, verify_checksum=True)
        for _ in range(3):
            emulator.kill()
            emulator.start()
            task = trees.wait(task_id, lambda task: task["files_transferred"] > 0)
            assert task["files_transferred"] % 1000 == 0
        task = trees.wait(task_id)
        assert (task["files"], task["files_transferred"], task["faults"]) == (40_000, 40_000, 0)
        assert (task["subtasks_total"], task["subtasks_succeeded"]) == (80_000, 80_000)
        assert [one["destination_path"] for one in trees.successes(task_id)] == [other for _, other in items]


def test_a_task_that_passes_can_be_canceled(trees: Trees) -> None:
    """In the middle, with a record of what it has moved."""
    items = [(f"/d{number // 1000:03}/f{number % 1000:03}", f"/{number}") for number in range(200_000)]
    task_id = trees.move("million", "sink", *items)
    trees.wait(task_id, lambda task: task["files_transferred"] > 0)
    trees.client.cancel_task(task_id)
    task = trees.wait(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert task["subtasks_succeeded"] + task["subtasks_canceled"] == task["subtasks_total"]
    assert len(trees.successes(task_id)) == task["files_transferred"] < 200_000


def test_a_state_remembers_a_shape(tmp_path: Path) -> None:
    """After kill -9 and a restart without the option the tree is there, and its task goes on."""
    state = tmp_path / "state"
    shapes = {"many": "synthetic:files=6000,dirs=20,size=1kB", "sink": "synthetic:files=0"}
    with running_emulator(shapes, state=state) as emulator:
        trees = Trees(emulator, tmp_path)
        task_id = trees.move("many", "sink", ("/", "/"), sync_level=3)
        trees.wait(task_id, lambda task: task["files_transferred"] > 0)
        emulator.kill()
        emulator.start()
        task = trees.wait(task_id)
        assert (task["status"], task["files"], task["files_transferred"]) == ("SUCCEEDED", 6000, 6000)
        assert (task["directories"], task["subtasks_pending"], task["files_skipped"]) == (21, 0, 0)
        collections = emulator.collections
    with running_emulator([], state=state) as emulator:
        assert emulator.collections == collections


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "files=, dirs="),
        ("dirs=1", "how many files"),
        ("files=-1", "whole number"),
        ("files=٣", "whole number"),
        ("files=1e6", "whole number"),
        ("files=1,files=2", "twice"),
        ("files=1,colour=2", "'colour=2' is none of"),
        ("files=1,size=1XB", "'size' must be bytes"),
        ("files=1,size=", "'size' must be bytes"),
        ("files=1,rate=fast", "'rate' must be bytes"),
        ("files=1,size=2000PiB", "at most"),
        ("files=9999999999999", "at most"),
        ("files=1,depth=0", "'depth' must be"),
        ("files=1,largest=1000000000000", "'largest' is more"),
        ("files=1,largest=1,changed=3", "than there are: 2 files"),
    ],
)
def test_a_text_that_is_no_shape_is_refused(text: str, words: str) -> None:
    """The message says what is wrong, and shows how it is written."""
    with pytest.raises(ShapeError, match=words):
        parse_shape(f"synthetic:{text}")


def test_a_refused_shape_ends_the_command() -> None:
    """The refusal names the option."""
    with (
        pytest.raises(EmulatorProcessError, match=r"--collection 'a=synthetic:files=x': 'files'"),
        running_emulator({"a": "synthetic:files=x"}),
    ):
        pass


def test_amounts() -> None:
    """Powers of 1000 and of 1024, and parts of them."""
    amounts = {"10": 10, "500kB": 500_000, "1MiB": 1024**2, "1.5GiB": 3 * 512 * 1024**2, "2 TB": 2 * 10**12, "7B": 7}
    assert {text: parse_shape(f"synthetic:files=1,size={text}").size for text in amounts} == amounts


@given(files=st.integers(0, 500), dirs=st.integers(0, 60), depth=st.integers(1, 4), largest=st.integers(0, 20))
def test_a_shape_is_a_tree(files: int, dirs: int, depth: int, largest: int) -> None:
    """Walked by its listings it has exactly its files, each once, in order, and each found by its path."""
    shape = Shape(files, dirs, depth, largest=largest)
    numbers: list[int] = []
    leaves = 0

    def walk(here: Directory, parts: tuple[str, ...]) -> None:
        nonlocal leaves
        leaves += here.level == 0
        names = shape.names(here)
        assert names == sorted(set(names))
        assert len(names) == shape.count(here)
        for name in names:
            found = shape.child(here, name)
            assert found is not None
            assert shape.find((*parts, name)) == found
            if isinstance(found, File):
                numbers.append(found.number)
            else:
                assert found.level == here.level - 1
                walk(found, (*parts, name))

    walk(shape.top, ())
    assert [number for number in numbers if number < files] == list(range(files))
    assert sorted(numbers) == list(range(files + largest))
    assert leaves == max(dirs, 1)


@given(
    files=st.integers(1, 300), dirs=st.integers(0, 9), largest=st.integers(0, 99), share=st.floats(0, 1), data=st.data()
)
def test_a_skewed_or_changed_tree_is_the_same_elsewhere(
    files: int, dirs: int, largest: int, share: float, data: st.DataObject
) -> None:
    """So many files are changed, which a listing tells as a look at each does; nothing else of the tree moves."""
    plain = Synthetic(Shape(files, dirs))
    changed = round(share * (files + largest))
    other = Synthetic(Shape(files, dirs, largest=largest, changed=changed))
    leaves = [(child.name,) for child in plain.children(())] if dirs else [()]
    listed = {(*leaf, entry.name): entry for leaf in leaves for entry in other.scan(leaf)}
    before = {(*leaf, entry.name): entry for leaf in leaves for entry in plain.scan(leaf)}
    assert len(listed) == files + largest
    assert before.keys() <= listed.keys()
    assert all(parts[:-1] == leaves[0] for parts in listed.keys() - before.keys())
    differing = [parts for parts in before if listed[parts] != before[parts]]
    assert abs(len(differing) - changed * files / (files + largest)) <= 1
    assert sum(entry.status.st_size == 1 for entry in listed.values()) == changed
    some = data.draw(st.sampled_from(sorted(listed)))
    assert other.stat(some) == listed[some]
