"""Locations and transfer ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prefect_globus.transfers.errors import (
    InvalidLocationError,
    InvalidTransferIdError,
    OverlappingLocationsError,
)
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id

ID = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"
CHARACTERS = st.characters(exclude_characters="/\x7f", exclude_categories=["Cs"], min_codepoint=0x20)
NAMES = st.text(CHARACTERS, min_size=1).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES).map(lambda names: "/" + "/".join(names))


@given(st.uuids(), PATHS)
def test_a_location_reads_what_it_writes(collection: uuid.UUID, path: str) -> None:
    location = Location(collection=collection, path=path)
    assert Location.parse(str(location)) == location
    assert Location.model_validate_json(location.model_dump_json()) == location
    assert location.path == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"{ID}:/", "/"),
        (f"{ID}:/a/b/", "/a/b"),
        (f"{ID}://a///b/./c", "/a/b/c"),
        (f"{ID.upper()}:/a", "/a"),
        (f"{ID}:/~/a", "/~/a"),
        (f"{ID}:/with:colon", "/with:colon"),
        (f"  {ID}:/a", "/a"),
        (f"{ID}:/blank at the end ", "/blank at the end "),
        (f"{ID}:/...", "/..."),
    ],
)
def test_paths_have_one_spelling(text: str, path: str) -> None:
    assert str(Location.parse(text)) == f"{ID}:{path}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no ':'"),
        (ID, "no ':'"),
        ("/local/path", "no ':'"),
        (":/path", "not a UUID"),
        ("my-collection:/path", "not a UUID"),
        (f"{ID}:", "relative"),
        (f"{ID}:a/b", "relative"),
        (f"{ID}:~/a", "relative"),
        (f"{ID}:/a/../b", r"'\.\.'"),
        (f"{ID}:/..", r"'\.\.'"),
        (f"{ID}:/a\nb", "control character"),
        (f"{ID}:/a\n", "control character"),
        (f"{ID}:/a\x00", "control character"),
    ],
)
def test_anything_else_is_refused_and_says_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidLocationError, match=reason) as caught:
        Location.parse(text)
    assert "COLLECTION_UUID:/absolute/path" in str(caught.value)
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(Location).validate_python(text)


def test_a_path_is_checked_however_a_location_is_made() -> None:
    assert Location(collection=uuid.UUID(ID), path="/a//b/").path == "/a/b"
    with pytest.raises(ValidationError, match="relative"):
        Location(collection=uuid.UUID(ID), path="a")


def test_a_location_can_be_given_as_itself() -> None:
    location = Location.parse(f"{ID}:/a")
    assert Location.parse(location) is location
    assert TypeAdapter(Location).validate_python(location) == location


def test_paths_below_a_location() -> None:
    location = Location.parse(f"{ID}:/a/b")
    assert (location.name, location.join("c/d"), location.join("")) == ("b", "/a/b/c/d", "/a/b")
    assert str(location.child("c")) == f"{ID}:/a/b/c"
    assert Location.parse(f"{ID}:/").join("c") == "/c"


@pytest.mark.parametrize(
    ("outer", "inner", "inside"),
    [("/a", "/a", True), ("/a", "/a/b", True), ("/", "/a", True), ("/a", "/ab", False), ("/a/b", "/a", False)],
)
def test_a_destination_inside_the_source_is_refused(outer: str, inner: str, inside: bool) -> None:
    source, destination = Location.parse(f"{ID}:{outer}"), Location.parse(f"{ID}:{inner}")
    assert source.contains(destination) is inside
    if inside:
        with pytest.raises(OverlappingLocationsError):
            check_disjoint(source, destination)
    else:
        check_disjoint(source, destination)
    check_disjoint(source, Location(collection=uuid.uuid4(), path=inner))


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+=@:-]{0,127}", fullmatch=True))
def test_ids_stay_within_one_folder(transfer_id: str) -> None:
    if ".." in transfer_id:
        with pytest.raises(InvalidTransferIdError):
            check_transfer_id(transfer_id)
    else:
        assert check_transfer_id(transfer_id) == transfer_id


@pytest.mark.parametrize(
    "transfer_id", ["", "-a", ".a", "_a", "a/b", "a\\b", "a b", "a\n", "é", "a" * 129, "a..b", "~", "a\x00"]
)
def test_other_ids_are_refused(transfer_id: str) -> None:
    with pytest.raises(InvalidTransferIdError):
        check_transfer_id(transfer_id)
