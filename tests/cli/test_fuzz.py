"""Bad input on the command line, by fuzz: an error in words and the exit status for it, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from shells import call

from prefect_globus.cli.flags import FIELDS
from prefect_globus.transfers.errors import InvalidLocationError, InvalidTransferIdError
from prefect_globus.transfers.location import Location, check_transfer_id
from prefect_globus.transfers.options import TransferOptions

UUID = "16d793ac-4d4a-5def-8fdb-bf474230a0d0"
EXAMPLES = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
# What a shell can pass: any characters but NUL.
words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)
locations = st.one_of(
    words,
    words.map(lambda path: f"{UUID}:{path}"),
    words.map(lambda path: f"{UUID}:/{path}"),
    st.sampled_from([f"{UUID}:/a/../b", f"{UUID[:-1]}:/a", f"{UUID}:", ":", "::", "/", ".", "~", "", "-", "--"]),
)
ids = words | st.sampled_from(["..", "a/b", "x" * 129, "-x", " ", "*", "%s", "{0}"])
flags = st.lists(
    st.tuples(
        st.sampled_from([f"--{name.replace('_', '-')}" for name in FIELDS]),
        words | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["", "nan", "inf", "-1", "1e400"]),
    ).map("=".join),
    max_size=3,
)


def check(*arguments: str) -> int | None:
    """Call the command; how it has ended."""
    said = call(*arguments)
    text = said.out + said.err
    assert said.code in (0, 1, 2)
    assert "Traceback" not in text
    assert "--debug shows more" not in text, "an error that nobody has thought of"
    assert said.code == 0 or said.err.strip()
    return said.code


@EXAMPLES
@given(command=st.sampled_from(["status", "cancel", "delete"]), transfer_id=ids)
@example(command="status", transfer_id="")
def test_ids(here: Path, command: str, transfer_id: str) -> None:
    """Of transfers that there are not."""
    assert here.exists()
    assert check(command, "--", transfer_id) in (1, 2)


@EXAMPLES
@given(source=locations, destination=locations, given_flags=flags, transfer_id=ids)
def test_a_transfer_of_bad_input(
    here: Path, source: str, destination: str, given_flags: list[str], transfer_id: str
) -> None:
    """Refused before anything is made; the id here is never a good one."""
    code = check("transfer", "--id", f"/{transfer_id}", *given_flags, "--", source, destination)
    assert code == 2
    assert not (here / "checkpoints.db").exists()


def test_options_that_do_not_go_together(here: Path) -> None:
    """No single flag is to blame."""
    assert check("transfer", "a", "b", "--min-size", "5", "--max-size", "3") == 2
    assert not (here / "checkpoints.db").exists()


@EXAMPLES
@given(given_flags=flags, transfer_id=ids)
def test_a_resume_of_nothing(here: Path, given_flags: list[str], transfer_id: str) -> None:
    """With whatever options."""
    assert here.exists()
    assert check("resume", "--dry-run", *given_flags, "--", f"x/{transfer_id}") in (1, 2)


# --- the same in Python

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.binary(max_size=9),
    st.just([]),
    st.just({}),
)


@settings(deadline=None)  # a busy machine takes its time
@given(st.text() | locations)
def test_a_location_is_read_or_refused(text: str) -> None:
    """One that was read is written as it can be read again."""
    try:
        location = Location.parse(text)
    except InvalidLocationError as error:
        assert "globus-cli" in str(error)  # noqa: PT017 - it may also be read
    else:
        assert Location.parse(str(location)) == location
        assert location.path.startswith("/")


@settings(deadline=None)  # a busy machine takes its time
@given(st.text() | ids)
def test_an_id_is_taken_or_refused(text: str) -> None:
    """One that was taken cannot leave a folder."""
    try:
        check_transfer_id(text)
    except InvalidTransferIdError as error:
        assert "letters, digits" in str(error)  # noqa: PT017 - it may also be taken
    else:
        assert Path(text).name == text
        assert ".." not in text


@settings(deadline=None)  # a busy machine takes its time
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(max_size=5), anything, max_size=4))
def test_options_are_taken_or_refused(values: dict[str, object]) -> None:
    """Those that were taken are written as they can be read again."""
    try:
        options = TransferOptions.model_validate(values)
    except ValidationError:
        return
    assert TransferOptions.model_validate_json(options.model_dump_json()) == options


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1, "", "x", [], {}, b"\xff"])
def test_no_option_takes_what_is_no_value_of_it(name: str, value: object) -> None:
    """No NaN and no infinity in a wait: it would never end, or end at once."""
    try:
        options = TransferOptions.model_validate({name: value})
    except ValidationError as error:
        assert name in str(error)  # noqa: PT017 - it may also be taken
    else:
        assert getattr(options, name) not in (float("inf"), 1e300, -1)
        assert getattr(options, name) == getattr(options, name), "NaN"
