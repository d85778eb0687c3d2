"""Transfer API: pause rules, and what is held by them (contract section 4).

Globus asks for the role of an activity manager. Here anybody who has a token may manage: the collections are local, and
who runs the emulator is the manager of them all.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.errors import BadRequest, OperationPaused, PauseRuleNotFound
from prefect_globus.emulator.queries import parse_time, timestamp
from prefect_globus.emulator.tasks.pausing import PAUSABLE, PauseRule
from prefect_globus.emulator.tasks.submission import canonical_uuid, text
from prefect_globus.emulator.transfer.task_operations import own_task

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.tasks.model import Task
    from prefect_globus.emulator.web import Call

Document = dict[str, Any]


def refuse_if_paused(call: Call, what: str, collection: CollectionSpec) -> None:
    """Raise OperationPaused if a rule holds what the caller asks for, a word such as `pause_ls`."""
    for rule in call.site.pause_rules.of_operation(what, collection.uuid, call.identity, time.time()):
        raise OperationPaused(rule.message)


def create(call: Call) -> Document:
    """Answer POST endpoint_manager/pause_rule. What the rule does not say it pauses."""
    body = call.body
    collection = call.site.collection(canonical_uuid(body.get("endpoint_id")), body.get("endpoint_id"))
    identity = body.get("identity_id")
    if identity is not None and canonical_uuid(identity) is None:
        raise BadRequest("'identity_id' must be a UUID, or null for everybody")
    now = time.time()
    rule = PauseRule(
        id=str(uuid.uuid1()),
        endpoint_id=collection.uuid,
        identity_id=canonical_uuid(identity),
        message="",
        start_time=None,
        starts_at=now,
        modified_by_id=call.identity,
        modified_time=now,
        paused=frozenset(PAUSABLE),
    )
    return _save(call, _changed(call, rule))


def update(call: Call) -> Document:
    """Answer PUT endpoint_manager/pause_rule/ID. Whose rule it is, and on which collection, stays as it is."""
    return _save(call, _changed(call, _rule(call)))


def get(call: Call) -> Document:
    """Answer GET endpoint_manager/pause_rule/ID."""
    return _document(call, _rule(call))


def list_all(call: Call) -> Document:
    """Answer GET endpoint_manager/pause_rule_list."""
    endpoint = call.query.get("filter_endpoint")
    if endpoint:
        endpoint = call.site.collection(canonical_uuid(endpoint), endpoint).uuid
    rules = [rule for rule in call.site.pause_rules.all() if not endpoint or rule.endpoint_id == endpoint]
    return {"DATA_TYPE": "pause_rule_list", "DATA": [_document(call, rule) for rule in rules]}


def delete(call: Call) -> Document:
    """Answer DELETE endpoint_manager/pause_rule/ID."""
    rule = _rule(call)
    if not call.site.pause_rules.delete(rule.id):
        raise PauseRuleNotFound(rule.id)
    call.site.engine.look_again()
    return {"DATA_TYPE": "result", "code": "Deleted", "message": "The pause rule has been deleted successfully."}


def list_effective(call: Call) -> Document:
    """Answer GET endpoint/ID/my_effective_pause_rule_list: the rules that hold anything that the caller does there."""
    asked = call.path["endpoint"]
    collection = call.site.collection(canonical_uuid(asked), asked)
    now = time.time()
    rules = [
        rule
        for rule in call.site.pause_rules.all()
        if any(rule.holds(what, collection.uuid, call.identity, now) for what in PAUSABLE)
    ]
    return {"DATA_TYPE": "pause_rule_list", "DATA": [_limited_document(call, rule) for rule in rules]}


def pause_info(call: Call) -> Document:
    """Answer GET task/ID/pause_info."""
    return pause_info_of(call, own_task(call))


def pause_info_of(call: Call, task: Task) -> Document:
    """Return what holds a task: the rules, and what an activity manager said who has paused this very task.

    Such a manager manages both ends here, and so speaks for both [inferred].
    """
    rules = [] if task.is_finished else call.site.pause_rules.of_task(task, time.time())
    message = None if task.is_finished else task.pause_message
    return {
        "DATA_TYPE": "pause_info_limited",
        "pause_rules": [_limited_document(call, rule) for rule in rules],
        "source_pause_message": message,
        "destination_pause_message": message if task.destination_endpoint else None,
        "source_pause_message_share": None,
        "destination_pause_message_share": None,
    }


def _changed(call: Call, rule: PauseRule) -> PauseRule:
    """Return a rule with what the body says put into it. Raises BadRequest."""
    body, now = call.body, time.time()
    if body.get("DATA_TYPE") not in (None, "pause_rule"):
        raise BadRequest("'DATA_TYPE' must be 'pause_rule'")
    message = text(body, "message") or rule.message
    if not message:
        raise BadRequest("'message' must say to users why they have to wait")
    paused = set(rule.paused)
    for what in PAUSABLE:
        value = body.get(what, what in paused)
        if not isinstance(value, bool):
            raise BadRequest(f"'{what}' must be true or false")
        (paused.add if value else paused.discard)(what)
    if "start_time" in body:
        start = text(body, "start_time")
        start_time = None if start is None else parse_time(start)
        starts_at = now if start_time is None else now + call.site.policy.real(start_time - now)
        rule = replace(rule, start_time=start_time, starts_at=starts_at)
    return replace(
        rule, message=message, paused=frozenset(paused), modified_by_id=call.identity, modified_time=time.time()
    )


def _save(call: Call, rule: PauseRule) -> Document:
    call.site.pause_rules.save(rule)
    call.site.engine.look_again()
    return _document(call, rule)


def _rule(call: Call) -> PauseRule:
    asked = call.path["rule"]
    found = call.site.pause_rules.find(canonical_uuid(asked) or "")
    if found is None:
        raise PauseRuleNotFound(asked)
    return found


def _limited_document(call: Call, rule: PauseRule) -> Document:
    """Return what a user may know of a rule."""
    return {
        "DATA_TYPE": "pause_rule_limited",
        "id": rule.id,
        "message": rule.message,
        "start_time": timestamp(rule.start_time),
        "endpoint_id": rule.endpoint_id,
        "endpoint_display_name": call.site.names.get(rule.endpoint_id),
        "identity_id": rule.identity_id,
        "modified_time": timestamp(rule.modified_time),
        **{what: what in rule.paused for what in PAUSABLE},
    }


def _document(call: Call, rule: PauseRule) -> Document:
    return _limited_document(call, rule) | {
        "DATA_TYPE": "pause_rule",
        "modified_by_id": rule.modified_by_id,
        "created_by_host_manager": False,
        "editable": True,
    }
