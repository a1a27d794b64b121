#!/usr/bin/env python3
"""Makes edge.json: sign requests at the edges of sizes and forks, with roots by remerkleable.

Run by hand, never by a test: pip install remerkleable==0.1.28, then  python3 make.py > edge.json
Everything random comes from one fixed seed. The Gloas tree shapes are not in remerkleable; they are
written here a second time from EIP-7916 and EIP-7495, on hashlib alone.
"""
import hashlib
import json
import random

from remerkleable.basic import uint64
from remerkleable.bitfields import Bitlist, Bitvector
from remerkleable.byte_arrays import ByteVector
from remerkleable.complex import Container, List, Vector

rnd = random.Random(20261125)
B4, B20, B32, B48, B96 = (ByteVector[n] for n in (4, 20, 32, 48, 96))
FAR = 2**64 - 1

# name: slots per epoch, sizes, genesis version, capella version, epochs altair..gloas
NETWORKS = {
    "mainnet": (32, "mainnet", "00000000", "03000000", [74240, 144896, 194048, 269568, 364032, 411392, FAR]),
    "sepolia": (32, "mainnet", "90000069", "90000072", [50, 100, 56832, 132608, 222464, 272640, 353024]),
    "holesky": (32, "mainnet", "01017000", "04017000", [0, 0, 256, 29696, 115968, 165120, FAR]),
    "hoodi": (32, "mainnet", "10000910", "40000910", [0, 0, 0, 0, 2048, 50688, FAR]),
    "gnosis": (16, "mainnet", "00000064", "03000064", [512, 385536, 648704, 889856, 1337856, 1714688, FAR]),
    "chiado": (16, "mainnet", "0000006f", "0300006f", [90, 180, 244224, 516608, 948224, 1353216, FAR]),
    "lukso": (32, "mainnet", "42000001", "42000004", [0, 0, 8100, 123075, 190800, FAR, FAR]),
    "minimal": (8, "minimal", "00000001", "03000001", [10, 20, 30, 40, 50, 60, 70]),
    "swift": (4, "minimal", "00000001", "03000001", [0, 20, 30, 40, 50, 60, FAR]),
}
FORKS = ["altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas"]
OVERRIDDEN = {"minimal": FORKS, "swift": FORKS[1:6]}
SIZES = {"mainnet": (64, 131072, 512, 128), "minimal": (4, 8192, 32, 8)}


class Checkpoint(Container):
    epoch: uint64
    root: B32


class AttestationData(Container):
    slot: uint64
    index: uint64
    beacon_block_root: B32
    source: Checkpoint
    target: Checkpoint


class Attestation(Container):
    aggregation_bits: Bitlist[2048]
    data: AttestationData
    signature: B96


class AggregateAndProof(Container):
    aggregator_index: uint64
    aggregate: Attestation
    selection_proof: B96


class AggregateRoot(Container):
    aggregator_index: uint64
    aggregate: B32
    selection_proof: B96


class BeaconBlockHeader(Container):
    slot: uint64
    proposer_index: uint64
    parent_root: B32
    state_root: B32
    body_root: B32


class SignedBeaconBlockHeader(Container):
    message: BeaconBlockHeader
    signature: B96


class ProposerSlashing(Container):
    signed_header_1: SignedBeaconBlockHeader
    signed_header_2: SignedBeaconBlockHeader


class IndexedAttestation(Container):
    attesting_indices: List[uint64, 2048]
    data: AttestationData
    signature: B96


class AttesterSlashing(Container):
    attestation_1: IndexedAttestation
    attestation_2: IndexedAttestation


class DepositData(Container):
    pubkey: B48
    withdrawal_credentials: B32
    amount: uint64
    signature: B96


class Deposit(Container):
    proof: Vector[B32, 33]
    data: DepositData


class VoluntaryExit(Container):
    epoch: uint64
    validator_index: uint64


class SignedVoluntaryExit(Container):
    message: VoluntaryExit
    signature: B96


class Eth1Data(Container):
    deposit_root: B32
    deposit_count: uint64
    block_hash: B32


class Registration(Container):
    fee_recipient: B20
    gas_limit: uint64
    timestamp: uint64
    pubkey: B48


class SelectionData(Container):
    slot: uint64
    subcommittee_index: uint64


class DepositMessage(Container):
    pubkey: B48
    withdrawal_credentials: B32
    amount: uint64


class ForkData(Container):
    version: B4
    root: B32


class SigningData(Container):
    object_root: B32
    domain: B32


def body_class(sync_bits):
    fields = {
        "randao_reveal": B96, "eth1_data": Eth1Data, "graffiti": B32,
        "proposer_slashings": List[ProposerSlashing, 16], "attester_slashings": List[AttesterSlashing, 2],
        "attestations": List[Attestation, 128], "deposits": List[Deposit, 16],
        "voluntary_exits": List[SignedVoluntaryExit, 16],
    }
    if sync_bits:
        sync = type("SyncAggregate", (Container,), {"__annotations__": {
            "sync_committee_bits": Bitvector[sync_bits], "sync_committee_signature": B96}})
        fields["sync_aggregate"] = sync
    body = type("BeaconBlockBody", (Container,), {"__annotations__": fields})
    return type("BeaconBlock", (Container,), {"__annotations__": {
        "slot": uint64, "proposer_index": uint64, "parent_root": B32, "state_root": B32, "body": body}})


def raw(n):
    return rnd.randbytes(n)


def u64():
    return rnd.choice([0, 1, FAR, rnd.getrandbits(64), rnd.getrandbits(32)])


def fill(cls, counts, fixed=None):
    """A random value. `counts` gives lengths of lists and bit lists by member."""
    fixed = fixed or {}
    values = {}
    for name, kind in cls.fields().items():
        if name in fixed:
            values[name] = fixed[name]
        elif issubclass(kind, uint64):
            values[name] = kind(u64())
        elif issubclass(kind, ByteVector):
            values[name] = kind(raw(kind.type_byte_length()))
        elif issubclass(kind, Container):
            values[name] = fill(kind, counts)
        elif issubclass(kind, Bitlist):
            values[name] = kind(*[rnd.random() < 0.5 for _ in range(counts[name])])
        elif issubclass(kind, Bitvector):
            values[name] = kind(*[rnd.random() < 0.5 for _ in range(kind.vector_length())])
        elif issubclass(kind, Vector):
            values[name] = kind(*[kind.element_cls()(raw(32)) for _ in range(kind.vector_length())])
        else:
            item = kind.element_cls()
            make = (lambda: item(u64())) if issubclass(item, uint64) else (lambda: fill(item, counts))
            values[name] = kind(*[make() for _ in range(counts[name])])
    return cls(**values)


def to_json(value):
    if isinstance(value, uint64):
        return int(value) if rnd.random() < 0.2 else str(int(value))
    if isinstance(value, (ByteVector, Bitlist, Bitvector)):
        return "0x" + value.encode_bytes().hex()
    if isinstance(value, Container):
        return {name: to_json(getattr(value, name)) for name in type(value).fields()}
    return [to_json(item) for item in value]


def root(value):
    return bytes(value.hash_tree_root())


def digest(a, b):
    return hashlib.sha256(a + b).digest()


def merkle(chunks, leaves):
    chunks = chunks + [bytes(32)] * (leaves - len(chunks))
    while len(chunks) > 1:
        chunks = [digest(chunks[i], chunks[i + 1]) for i in range(0, len(chunks), 2)]
    return chunks[0]


def progressive(chunks, leaves=1):
    if not chunks:
        return bytes(32)
    return digest(merkle(chunks[:leaves], leaves), progressive(chunks[leaves:], leaves * 4))


def gloas_attestation_root(bits, data, signature, committee_bits):
    packed = bytearray((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        packed[i // 8] |= int(bit) << (i % 8)
    packed += bytes(-len(packed) % 32)
    chunks = [bytes(packed[i:i + 32]) for i in range(0, len(packed), 32)]
    bits_root = digest(progressive(chunks), len(bits).to_bytes(32, "little"))
    members = [bits_root, root(data), root(signature), root(committee_bits)]
    return digest(progressive(members), b"\x0f" + bytes(31))


cases = []


def add(name, network, kind, member, obj, object_root, purpose, epoch=None, version=None, zero=False, fork_info=True):
    gvr = raw(32)
    previous, current = raw(4), raw(4)
    fork_epoch = rnd.choice([0, FAR, u64()] + ([epoch, min(FAR, epoch + 1), max(0, epoch - 1)] if epoch is not None else []))
    if version is None:
        version = previous if epoch < fork_epoch else current
    domain = purpose + root(ForkData(version=version, root=bytes(32) if zero else gvr))[:28]
    request = {"type": kind, member: obj}
    if fork_info:
        request["fork_info"] = {
            "fork": {"previous_version": "0x" + previous.hex(), "current_version": "0x" + current.hex(), "epoch": str(fork_epoch)},
            "genesis_validators_root": "0x" + gvr.hex()}
    epochs = NETWORKS[network][4]
    overrides = {fork: epochs[FORKS.index(fork)] for fork in OVERRIDDEN.get(network, [])}
    cases.append({
        "name": f"{network}/{name}", "network": network, "fork_epoch_overrides": overrides, "request": request,
        "expected": {"object_root": "0x" + object_root.hex(), "domain": "0x" + domain.hex(),
                     "signing_root": "0x" + root(SigningData(object_root=object_root, domain=domain)).hex()}})


def aggregate(network, slot, bits, label):
    spe, sizes, _, _, epochs = NETWORKS[network]
    committees, slot_validators, _, _ = SIZES[sizes]
    epoch = slot // spe
    data = fill(AttestationData, {}, {"slot": uint64(slot)})
    signature, proof, index = B96(raw(96)), B96(raw(96)), u64()
    chosen = [rnd.random() < 0.5 for _ in range(bits)]
    as_json = {"data": to_json(data), "signature": to_json(signature)}
    if epoch < epochs[4]:
        value = Bitlist[2048](*chosen)
        aggregate_root = root(Attestation(aggregation_bits=value, data=data, signature=signature))
    else:
        value = Bitlist[slot_validators](*chosen)
        bits_of = Bitvector[committees](*[rnd.random() < 0.5 for _ in range(committees)])
        as_json["committee_bits"] = to_json(bits_of)
        if epoch >= epochs[6] and epochs[6] != FAR:
            aggregate_root = gloas_attestation_root(chosen, data, signature, bits_of)
        else:
            electra = type("AttestationElectra", (Container,), {"__annotations__": {
                "aggregation_bits": Bitlist[slot_validators], "data": AttestationData, "signature": B96,
                "committee_bits": Bitvector[committees]}})
            aggregate_root = root(electra(aggregation_bits=value, data=data, signature=signature, committee_bits=bits_of))
    as_json["aggregation_bits"] = to_json(value)
    flat = {"aggregator_index": str(index), "aggregate": as_json, "selection_proof": to_json(proof)}
    wrapped = rnd.random() < 0.5
    obj = {"version": rnd.choice(["PHASE0", "ELECTRA", "FULU", "DENEB"]), "data": flat} if wrapped else flat
    kind = rnd.choice(["AGGREGATE_AND_PROOF", "AGGREGATE_AND_PROOF_V2"])
    object_root = root(AggregateRoot(aggregator_index=index, aggregate=aggregate_root, selection_proof=proof))
    add(f"{label}/{bits}-bits", network, kind, "aggregate_and_proof", obj, object_root, b"\6\0\0\0", epoch)


def all_of(network):
    spe, sizes, genesis, capella, epochs = NETWORKS[network]
    _, slot_validators, sync, subcommittee = SIZES[sizes]
    known = [epoch for epoch in epochs if epoch != FAR]
    for fork, epoch in zip(FORKS, epochs):
        if epoch == FAR:
            continue
        for slot, label in [(epoch * spe, f"first-slot-of-{fork}")] + ([(epoch * spe - 1, f"last-slot-before-{fork}")] if epoch else []):
            aggregate(network, slot, rnd.choice([1, 63, 64, 65, 255, 256, 257, 2048]), label)
    edges = [1, 7, 8, 9, 255, 256, 257, 2047, 2048] if network in ("mainnet", "minimal") else [16]
    for bits in edges:
        if epochs[4] > 0:
            aggregate(network, epochs[4] * spe - 1, bits, "before-electra")
    for bits in edges + ([slot_validators] if network in ("mainnet", "minimal") else []):
        aggregate(network, epochs[4] * spe, bits, "electra")
    if epochs[6] != FAR:
        for bits in [1, 8, 255, 256, 257, 1279, 1280, 1281, 5376, 5377, 8192]:
            aggregate(network, epochs[6] * spe + 5, bits, "gloas")
    for epoch in sorted({epochs[3], max(0, epochs[3] - 1), known[-1], FAR}):
        exit_ = VoluntaryExit(epoch=epoch, validator_index=u64())
        at_deneb = epoch >= epochs[3]
        add(f"exit-at-{epoch}", network, "VOLUNTARY_EXIT", "voluntary_exit", to_json(exit_), root(exit_), b"\4\0\0\0", epoch,
            version=bytes.fromhex(capella) if at_deneb else None)
    registration = fill(Registration, {})
    add("registration", network, "VALIDATOR_REGISTRATION", "validator_registration", to_json(registration), root(registration),
        b"\0\0\0\1", version=bytes.fromhex(genesis), zero=True, fork_info=rnd.random() < 0.5)
    message, version = fill(DepositMessage, {}), raw(4)
    add("deposit", network, "DEPOSIT", "deposit", {**to_json(message), "genesis_fork_version": "0x" + version.hex()}, root(message),
        b"\3\0\0\0", version=version, zero=True, fork_info=rnd.random() < 0.5)
    contribution = type("SyncCommitteeContribution", (Container,), {"__annotations__": {
        "slot": uint64, "beacon_block_root": B32, "subcommittee_index": uint64, "aggregation_bits": Bitvector[subcommittee],
        "signature": B96}})
    proof_class = type("ContributionAndProof", (Container,), {"__annotations__": {
        "aggregator_index": uint64, "contribution": contribution, "selection_proof": B96}})
    for slot in [epochs[0] * spe, known[-1] * spe + 1, FAR]:
        proof = fill(proof_class, {}, {"contribution": fill(contribution, {}, {"slot": uint64(slot)})})
        add(f"contribution-at-{slot}", network, "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", "contribution_and_proof", to_json(proof),
            root(proof), b"\x09\0\0\0", slot // spe)
        block_root = raw(32)
        add(f"sync-message-at-{slot}", network, "SYNC_COMMITTEE_MESSAGE", "sync_committee_message",
            {"beacon_block_root": "0x" + block_root.hex(), "slot": str(slot)}, block_root, b"\7\0\0\0", slot // spe)
        selection = SelectionData(slot=slot, subcommittee_index=u64())
        add(f"sync-selection-at-{slot}", network, "SYNC_COMMITTEE_SELECTION_PROOF", "sync_aggregator_selection_data",
            to_json(selection), root(selection), b"\x08\0\0\0", slot // spe)
    for slot in [0, spe - 1, spe, FAR]:
        add(f"aggregation-slot-{slot}", network, "AGGREGATION_SLOT", "aggregation_slot", {"slot": str(slot)},
            root(uint64(slot)), b"\5\0\0\0", slot // spe)
        add(f"randao-{slot}", network, "RANDAO_REVEAL", "randao_reveal", {"epoch": slot}, root(uint64(slot)), b"\2\0\0\0", slot)
        header = fill(BeaconBlockHeader, {}, {"slot": uint64(slot)})
        version = rnd.choice(["BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU", "GLOAS"])
        add(f"header-at-{slot}", network, "BLOCK_V2", "beacon_block", {"version": version, "block_header": to_json(header)},
            root(header), b"\0\0\0\0", slot // spe)
        data = fill(AttestationData, {})
        data.target.epoch = slot
        add(f"attestation-of-{slot}", network, "ATTESTATION", "attestation", to_json(data), root(data), b"\1\0\0\0", slot)


def blocks(network):
    spe, sizes, *_ = NETWORKS[network]
    nothing = {name: 0 for name in ("proposer_slashings", "attester_slashings", "attestations", "deposits", "voluntary_exits")}
    some = {"proposer_slashings": 1, "attester_slashings": 1, "attestations": 2, "deposits": 1, "voluntary_exits": 1,
            "attesting_indices": 5, "aggregation_bits": 9}
    odd = {"proposer_slashings": 3, "attester_slashings": 2, "attestations": 3, "deposits": 0, "voluntary_exits": 2,
           "attesting_indices": 0, "aggregation_bits": 2048}
    for label, counts in [("empty", nothing), ("some", some), ("odd", odd)]:
        for version, sync in [("PHASE0", 0), ("ALTAIR", SIZES[sizes][2])]:
            block = fill(body_class(sync), counts)
            slot, block_json = int(block.slot), to_json(block)
            add(f"{version}-block-{label}", network, "BLOCK_V2", "beacon_block", {"version": version, "block": block_json},
                root(block), b"\0\0\0\0", slot // spe)
            if version == "PHASE0":
                add(f"old-block-{label}", network, "BLOCK", "block", block_json, root(block), b"\0\0\0\0", slot // spe)


for network in NETWORKS:
    all_of(network)
for network in ("mainnet", "minimal", "swift", "gnosis"):
    blocks(network)
print(json.dumps({"description": "made by make.py with remerkleable 0.1.28", "cases": cases}, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"'))
