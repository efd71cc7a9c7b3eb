"""Runs the steps of test/clients/scenario.json: HOLDFAST_URL=… python -m tests.conformance FILE."""
import json
import os
import re
import sys
import typing

from holdfast import Client, HoldfastError


def snake(name):
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)


def filled(value, saved):
    """The value, with `$name.path` replaced by what an earlier step gave."""
    if isinstance(value, dict):
        return {name: filled(each, saved) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, saved) for each in value]
    if isinstance(value, str) and value.startswith("$"):
        name, *steps = value[1:].split(".")
        found = saved[name]
        for step in steps:
            found = found[int(step) if isinstance(found, list) else step]
        return found
    return value


def fits(expected, actual):
    if expected == "*":
        return actual is not None
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            fits(each, actual.get(name)) for name, each in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(fits(*pair) for pair in zip(expected, actual))
        )
    return expected == actual


def perform(client, step):
    """Calls the method that the step names. Its answer must be of the type that the method states."""
    method = getattr(client, snake(step["call"]))
    args = [step[part] for part in ("topic", "queue", "id", "schedule", "task", "list") if part in step]
    answer = method(*args, **{snake(name): value for name, value in step.get("with", {}).items()})
    if not is_of(typing.get_type_hints(method)["return"], answer):
        sys.exit(f"{step}: {json.dumps(answer)} is not what {method.__name__} states")
    return answer


def is_of(hint, value):
    """Whether the value has the type, and its dicts all the fields of theirs and no others."""
    inner = typing.get_args(hint)
    if hint is typing.Any:
        return True
    if typing.get_origin(hint) is typing.Union:
        return any(is_of(each, value) for each in inner)
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(is_of(inner[0], each) for each in value)
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict) and all(is_of(inner[1], each) for each in value.values())
    if hasattr(hint, "__required_keys__"):
        fields = typing.get_type_hints(hint)
        return (
            isinstance(value, dict)
            and hint.__required_keys__ <= value.keys() <= fields.keys()
            and all(is_of(fields[name], each) for name, each in value.items())
        )
    return isinstance(value, (int, float) if hint is float else hint)


def main():
    url = os.environ["HOLDFAST_URL"]
    saved = {"service": {"url": url}}
    with open(sys.argv[1], encoding="utf-8") as file:
        steps = json.load(file)
    for number, written in enumerate(steps, 1):
        step = filled(written, saved)
        refused = None
        answer = None
        try:
            with Client(url, step.get("key"), retry_seconds=0) as client:
                answer = perform(client, step)
        except HoldfastError as error:
            refused = error.code
        if refused != step.get("refuses"):
            sys.exit(f"step {number}, {written}: refused with {refused}")
        if "gives" in step and not fits(step["gives"], answer):
            sys.exit(f"step {number}, {written}: gave {json.dumps(answer)}")
        if "as" in step:
            saved[step["as"]] = answer
    print(len(steps), "steps")


if __name__ == "__main__":
    main()
