"""Holds one document against its ecosystem's own validator. Exit status 1, with the reasons, when it is refused.

    validate.py cyclonedx|spdx|provenance FILE
"""

import json
import pathlib
import sys


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    if error:
        return [repr(error)]
    # The schema takes any text as a package URL.
    wrong = []
    for component in json.loads(path.read_text())["components"]:
        purl = component.get("purl", "pkg:generic/none")
        try:
            canonical = PackageURL.from_string(purl).to_string()
        except ValueError as error:
            canonical = repr(error)
        if canonical != purl:
            wrong.append(f"{purl}: {canonical}")
    return wrong


def spdx(path):
    from spdx_tools.spdx.parser.error import SPDXParsingError
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    try:
        document = parse_file(str(path))
    except SPDXParsingError as error:
        return error.get_messages()
    return [message.validation_message for message in validate_full_spdx_document(document)]


def provenance(path):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    text = path.read_text()
    try:
        # Unknown fields are errors in both.
        Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement())).validate()
        predicate = json_format.ParseDict(json.loads(text)["predicate"], provenance_pb2.Provenance())
    except (ValueError, KeyError, json_format.ParseError) as error:
        return [repr(error)]
    definition = predicate.build_definition
    return [] if definition.build_type and definition.resolved_dependencies and predicate.run_details.builder.id else ["incomplete"]


reasons = {"cyclonedx": cyclonedx, "spdx": spdx, "provenance": provenance}[sys.argv[1]](pathlib.Path(sys.argv[2]))
print("\n".join(reasons))
sys.exit(1 if reasons else 0)
