// Drives a signer through Lodestar's own client of external signers, and checks every signature with Lodestar's own
// roots and its own BLS library. Prints one line for each request; any difference ends the program with an error.
//   node lodestar.mjs FOLDER_WITH_NODE_MODULES URL PUBLIC_KEY
import assert from "node:assert/strict";
import {pathToFileURL} from "node:url";

const [folder, url, publicKey] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${folder}/node_modules/${path}`).href);
const client = await load("@lodestar/validator/lib/util/externalSignerClient.js");
const {createIBeaconConfig} = await load("@lodestar/config/lib/index.js");
const {mainnetChainConfig} = await load("@lodestar/config/lib/networks.js");
const params = await load("@lodestar/params/lib/index.js");
const {computeSigningRoot, computeDomain, ZERO_HASH} = await load("@lodestar/state-transition/lib/index.js");
const {ssz} = await load("@lodestar/types/lib/index.js");
const {fromHexString} = await load("@chainsafe/ssz/lib/index.js");
const bls = await load("@chainsafe/bls/lib/herumi/index.js");

const genesis = fromHexString("0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95");
// This release is older than Capella's date on mainnet.
const config = createIBeaconConfig({...mainnetChainConfig, CAPELLA_FORK_EPOCH: 194048}, genesis);
const slot = 200_000 * 32; // in Capella, the last fork that this Lodestar knows
const epoch = 200_000;
const root = (byte) => new Uint8Array(32).fill(byte);
const T = client.SignableMessageType;

// Lodestar's answers, type by type: message, SSZ type and value, domain.
const block = ssz.capella.BeaconBlock.defaultValue();
block.slot = slot;
block.proposerIndex = 7;
const attestation = {slot, index: 1, beaconBlockRoot: root(1), source: {epoch: epoch - 1, root: root(2)}, target: {epoch, root: root(3)}};
const aggregate = ssz.phase0.AggregateAndProof.defaultValue();
aggregate.aggregate.data = attestation;
const contribution = ssz.altair.ContributionAndProof.defaultValue();
contribution.contribution.slot = slot;
const registration = {feeRecipient: new Uint8Array(20).fill(9), gasLimit: 30000000, timestamp: 1700000000, pubkey: fromHexString(publicKey)};
const selection = {slot, subcommitteeIndex: 2};
const exit = {epoch, validatorIndex: 5};
const at = (type) => config.getDomain(slot, type);
const requests = [
    [T.ATTESTATION, attestation, ssz.phase0.AttestationData, attestation, at(params.DOMAIN_BEACON_ATTESTER)],
    [T.BLOCK_V2, block, ssz.capella.BeaconBlock, block, at(params.DOMAIN_BEACON_PROPOSER)],
    [T.AGGREGATION_SLOT, {slot}, ssz.Slot, slot, at(params.DOMAIN_SELECTION_PROOF)],
    [T.AGGREGATE_AND_PROOF, aggregate, ssz.phase0.AggregateAndProof, aggregate, at(params.DOMAIN_AGGREGATE_AND_PROOF)],
    [T.RANDAO_REVEAL, {epoch}, ssz.Epoch, epoch, at(params.DOMAIN_RANDAO)],
    [T.VOLUNTARY_EXIT, exit, ssz.phase0.VoluntaryExit, exit, at(params.DOMAIN_VOLUNTARY_EXIT)],
    [T.SYNC_COMMITTEE_MESSAGE, {beaconBlockRoot: root(4), slot}, ssz.Root, root(4), at(params.DOMAIN_SYNC_COMMITTEE)],
    [T.SYNC_COMMITTEE_SELECTION_PROOF, selection, ssz.altair.SyncAggregatorSelectionData, selection, at(params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF)],
    [T.SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF, contribution, ssz.altair.ContributionAndProof, contribution, at(params.DOMAIN_CONTRIBUTION_AND_PROOF)],
    [T.VALIDATOR_REGISTRATION, registration, ssz.bellatrix.ValidatorRegistrationV1, registration,
        computeDomain(params.DOMAIN_APPLICATION_BUILDER, config.GENESIS_FORK_VERSION, ZERO_HASH)],
];

assert.deepEqual(await client.externalSignerGetKeys(url), [publicKey]);
console.log("publicKeys ok");
// This release of Lodestar expects JSON from /upcheck, which no Web3Signer ever sent; so the answer is looked at itself.
const upcheck = await fetch(`${url}/upcheck`);
assert.deepEqual([upcheck.status, await upcheck.text()], [200, "OK"]);
console.log("upcheck ok");
const key = bls.PublicKey.fromHex(publicKey);
for (const [type, data, sszType, value, domain] of requests) {
    const signingRoot = computeSigningRoot(sszType, value, domain);
    const signature = await client.externalSignerPostSignature(config, url, publicKey, signingRoot, slot, {type, data});
    assert.ok(bls.Signature.fromHex(signature).verify(key, signingRoot), `${type}: the signature is not of Lodestar's root`);
    await assert.rejects(
        client.externalSignerPostSignature(config, url, publicKey, root(0), slot, {type, data}), `${type}: a wrong root was signed`);
    console.log(`${type} ok`);
}
const unknown = publicKey.replace(/.$/, (c) => (c === "0" ? "1" : "0"));
await assert.rejects(client.externalSignerPostSignature(config, url, unknown, root(0), slot, {type: T.RANDAO_REVEAL, data: {epoch}}));
console.log("all ok");
