#!/usr/bin/env python3
"""Reads Avro container files with fastavro, a reader that valve has no part in, and prints what it finds as JSON lines.

    read_fastavro.py [--records] FILE...

One line per file: {"file", "rows", "codec", "schema", "metadata", "sync"}. The schema is the header's text, character
by character; the metadata is what begins with "valve."; sync is hexadecimal. With --records, a line per record comes
before its file's: {"file", "row", "record"}, rows from 0. A file that can't be read ends the program with an error.

Records are what the datums say before any logical type is applied (a timestamp is its number): fastavro raises on
values outside a logical type's range, which is not what is judged here. As JSON: bytes and fixed are
{"bytes": "<base64>"}; floats that JSON lacks are {"float": "nan" | "inf" | "-inf"}; a branch of a union is its value.

Needs PyPI's fastavro[snappy,zstandard].
"""

import argparse
import base64
import json
import math
import sys

import fastavro.read

# Readers of logical types, by "<type>-<logicalType>": without any, values stay those of the base types.
fastavro.read.LOGICAL_READERS.clear()


def canonical(value):
    """`value` with nothing in it that JSON lacks."""
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return value


def print_line(line):
    print(json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def header_of(path):
    """The header as it stands in the file; fastavro's reader parses the schema and forgets its text."""
    with open(path, "rb") as stream:
        return fastavro.schemaless_reader(stream, fastavro.read.HEADER_SCHEMA, None)


def judge(path, with_records):
    rows = 0
    with open(path, "rb") as stream:
        for record in fastavro.reader(stream):
            if with_records:
                print_line({"file": path, "row": rows, "record": canonical(record)})
            rows += 1
    header = header_of(path)
    metadata = {name: value.decode("utf-8") for name, value in header["meta"].items()}
    print_line(
        {
            "file": path,
            "rows": rows,
            "codec": metadata.get("avro.codec", "null"),
            "schema": metadata["avro.schema"],
            "metadata": {name: text for name, text in metadata.items() if name.startswith("valve.")},
            "sync": header["sync"].hex(),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--records", action="store_true", help="print every record, too")
    parser.add_argument("files", nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    for path in arguments.files:
        judge(path, arguments.records)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
