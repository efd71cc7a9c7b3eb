"""Runs the steps of test/clients/scenario.json: HOLDFAST_URL=… python -m tests.conformance FILE."""
import json
import os
import re
import sys

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
    """Calls the method that the step names, with arguments as Python programs write them."""
    names = [step[part] for part in ("topic", "queue", "id", "schedule") if part in step]
    if "list" in step:
        return getattr(client, snake(step["call"]))(*names, step["list"])
    options = dict(step.get("with", {}))
    leading = [options.pop(name) for name in ("body", "receipt", "name", "rights") if name in options]
    if step["call"] == "putSchedule":
        leading, options = [], step["with"]
    keywords = {snake(name): value for name, value in options.items()}
    return getattr(client, snake(step["call"]))(*names, *leading, **keywords)


def main():
    saved = {}
    client = Client(os.environ["HOLDFAST_URL"], retry_seconds=0)
    with open(sys.argv[1], encoding="utf-8") as file:
        steps = json.load(file)
    for number, written in enumerate(steps, 1):
        step = filled(written, saved)
        refused = None
        answer = None
        try:
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
