"""Calls the simulated KMS through boto3, unmodified: configured by the environment as a user would.

Arguments: an attestation document and its private key's file are made by the test; see main.rs.
"""

import base64
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def refused(name, call, **arguments):
    """The error's message; fails when the call is not refused with `name`."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == name, found
        assert error.response["ResponseMetadata"]["RequestId"]
        return found["Message"]
    raise AssertionError(f"{call} was not refused")


def main(document_path):
    once = Config(retries={"total_max_attempts": 1})
    kms = boto3.client("kms", config=once)
    metadata = kms.create_key(Description="of boto3")["KeyMetadata"]
    arn = metadata["Arn"]
    assert metadata["CreationDate"].year >= 2024, metadata
    assert kms.describe_key(KeyId=metadata["KeyId"])["KeyMetadata"]["Description"] == "of boto3"

    context = {"stack": "a", "kind": "é"}
    blob = kms.encrypt(KeyId=arn, Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, KeyId=arn)
    assert (answer["Plaintext"], answer["KeyId"]) == (b"hello", arn), answer
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=blob)
    refused("NotFoundException", kms.describe_key, KeyId="alias/none")
    refused("ValidationException", kms.generate_random)

    data_key = kms.generate_data_key(KeyId=arn, KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
    assert len(data_key["Plaintext"]) == 32
    pair = kms.generate_data_key_pair(KeyId=arn, KeyPairSpec="ECC_NIST_P256")
    assert pair["PrivateKeyPlaintext"] and pair["PublicKey"]
    assert len(kms.generate_random(NumberOfBytes=7)["Plaintext"]) == 7
    kms.create_alias(AliasName="alias/boto3", TargetKeyId=arn)
    assert kms.describe_key(KeyId="alias/boto3")["KeyMetadata"]["Arn"] == arn

    # The caller keeps the key; the enclave's role may decrypt, attested with the right image only.
    with open(document_path, "rb") as file:
        document = file.read()
    image = "01" * 48
    account = arn.split(":")[4]
    statement = {
        "Sid": "Image",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:role/enclave"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": image}},
    }
    policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    policy["Statement"].append(statement)
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
    enclave = boto3.Session(profile_name="enclave").client("kms", config=once)
    message = refused("AccessDeniedException", enclave.decrypt, CiphertextBlob=blob, EncryptionContext=context)
    assert "assumed-role/enclave/" in message and "kms:Decrypt" in message, message
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}
    answer = enclave.decrypt(CiphertextBlob=blob, EncryptionContext=context, Recipient=recipient)
    assert "Plaintext" not in answer and answer["KeyId"] == arn, answer
    sealed = base64.b64encode(answer["CiphertextForRecipient"]).decode()

    statement["Condition"]["StringEqualsIgnoreCase"] = {"kms:RecipientAttestation:ImageSha384": "02" * 48}
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
    other = {"CiphertextBlob": blob, "EncryptionContext": context, "Recipient": recipient}
    refused("AccessDeniedException", enclave.decrypt, **other)
    print(json.dumps({"sealed": sealed}))


main(*sys.argv[1:])
