#!/usr/bin/python3
"""Makes frames.json, token.json and proof.json from the words of agent.md.

A second encoder, written from the specification, that reads only the table of
frames (framelist.h); the C codec is tested against what it prints. Run it in
this folder after a change of the table and look at the difference.
"""
import base64, hashlib, json, os, re

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = open(os.path.join(HERE, "../../../src/include/engine/framelist.h")).read()
RAW = {"struct wire_magic": 4, "struct wire_id8": 8, "struct wire_id16": 16, "struct node_id": 16,
       "struct hash32": 32, "struct pubkey": 32, "struct sig64": 64}


def number(s):
    return {"UINT32_MAX": 2**32 - 1, "UINT64_MAX": 2**64 - 1, "INT64_MAX": 2**63 - 1}.get(s) or int(s, 0)


def parse():
    frames, groups, cur = {}, {}, None
    body = TABLE[TABLE.index("/* ---- groups"):]
    for m in re.finditer(r"^\s*W_(\w+)\((.*)\)$", body, re.M):
        kind, args = m.group(1), [a.strip() for a in m.group(2).split(",")]
        if kind == "FRAME":
            cur = frames[args[0]] = {"type": int(args[2], 16), "fields": []}
        elif kind == "GROUP":
            cur = groups[args[0]] = {"fields": []}
        elif kind not in ("END", "GEND", "ERR"):
            cur["fields"].append((kind, args))
    return frames, groups


FRAMES, GROUPS = parse()


def var(v):
    out = b""
    while v >= 0x80:
        out += bytes([v & 0x7F | 0x80])
        v >>= 7
    return out + bytes([v])


def counted(b):
    return var(len(b)) + b


def field(kind, args, values):
    if kind == "RAW":
        name, v = args[2], values[args[2]]
        b = bytes.fromhex(v)
        assert len(b) == RAW[args[1]], name
        return b
    if kind == "U8":
        return bytes([values[args[1]]])
    if kind == "VAR":
        return var(values[args[1]])
    if kind in ("NAME", "TEXT"):
        return counted(values[args[1]].encode())
    if kind == "BYTES":
        return counted(bytes.fromhex(values[args[1]]))
    if kind == "ADDR":
        fam, hexs = values[args[1]].split(":")
        return bytes([int(fam)]) + bytes.fromhex(hexs)
    if kind == "LIST":
        items = values[args[1]]
        return var(len(items)) + b"".join(fields(GROUPS[args[2]]["fields"], i) for i in items)
    if kind in ("XVAR", "XBYTES"):
        if args[2] not in values:
            return b""
        v = values[args[2]]
        b = var(v) if kind == "XVAR" else bytes.fromhex(v)
        return var(int(args[1])) + counted(b)
    raise KeyError(kind)


def fields(fs, values):
    return b"".join(field(k, a, values) for k, a in fs)


def frame(name, values, reqid=None, deadline=None, flags=0, tail=b""):
    f = FRAMES[name]
    flags |= (1 if reqid is not None else 0) | (4 if deadline is not None else 0)
    inner = bytes([f["type"], flags])
    inner += var(reqid) if reqid is not None else b""
    inner += var(deadline) if deadline is not None else b""
    inner += fields(f["fields"], values) + tail
    return counted(inner)


def rep(byte, n):
    return ("%02x" % byte) * n


HELLO = dict(magic="52564131", version_min=1, version_max=1, features=0, max_frame=1048576, node=rep(0, 16),
             resume="", epoch=0, revision=0, height=0, log_size=0, region_version=0, set_epoch=0, root=rep(0, 16))
WELCOME = dict(version=1, version_min=1, version_max=1, features=0, heartbeat_ms=30000, reconnect_window_ms=40000,
               max_frame=1048576, time_ms=1790000000000, challenge=rep(0xC1, 32), epoch=1, revision=77, height=12,
               delegation="010203", signature=rep(0x5A, 64), genesis="", valset="0102", region_proof="09")
VALUE = dict(key="app/limit", gen=3, state=1, type=2, revision=41, value="3530")
WORK = dict(id=rep(0x11, 16), op=1, service=0, addr="4:0a000001", port=8080, ttl_s=30, weight=1, health=1, epoch=5)

valid, invalid = [], []


def ok(name, values, note="", reqid=None, deadline=None, flags=0, tail=b"", skips=False):
    v = dict(note=note, frame=name, flags=flags | (1 if reqid is not None else 0) | (4 if deadline is not None else 0))
    if reqid is not None:
        v["reqid"] = reqid
    if deadline is not None:
        v["deadline"] = deadline
    v["fields"] = values
    if skips:
        v["skips"] = True
    v["hex"] = frame(name, values, reqid, deadline, flags, tail).hex()
    valid.append(v)


def bad(hexs, error, note):
    invalid.append(dict(note=note, error=error, hex=hexs if isinstance(hexs, str) else hexs.hex()))


def make_valid():
    ok("HELLO", HELLO, "a new agent")
    ok("HELLO", dict(HELLO, node=rep(7, 16), resume="aabb", epoch=1, revision=300, height=2**40, log_size=2**63,
                     region_version=2, set_epoch=1, root=rep(9, 16)), "one that knows something")
    ok("WELCOME", WELCOME)
    ok("WELCOME", dict(WELCOME, version=0, features=0, heartbeat_ms=0, reconnect_window_ms=0, max_frame=0, time_ms=0,
                       challenge=rep(0, 32), epoch=0, revision=0, height=0, delegation="", signature=rep(0, 64),
                       valset="", region_proof=""), "no version in common")
    ok("AUTH", dict(mode=1, key=rep(1, 32), seal_key=rep(2, 32), signature=rep(3, 64), agent_version="reeve-agent 0.1"))
    ok("AUTH_OK", dict(status=1, ordinal=70000, region="eu-west", labels=[dict(key="role", value="edge"),
                                                                          dict(key="zürich", value="1")], resume="00"))
    ok("AUTH_OK", dict(status=2, ordinal=0, region="", labels=[], resume=""), "unknown node")
    ok("ENROLL", dict(token=rep(4, 8), secret=rep(5, 16), labels=[dict(key="a", value="b")], addr_hint="10.0.0.1:80"))
    ok("ENROLLED", dict(ordinal=0, region="eu-west", labels=[], resume=""))
    ok("HEARTBEAT", {}, "three bytes")
    ok("HEARTBEAT_ACK", {})
    ok("HEARTBEAT_ACK", dict(heartbeat_ms=10000, revision=2**64 - 1))
    ok("HEARTBEAT_ACK", dict(heartbeat_ms=1), "an unknown extension with an even tag", tail=bytes([8, 2, 1, 2]), skips=True)
    ok("RETRY_AFTER", dict(after_ms=250, spread_ms=1000, reason=2), reqid=9)
    ok("RETRY_AFTER", dict(after_ms=0, spread_ms=0, reason=4))
    ok("GOAWAY", dict(reason=1, not_before_ms=100, spread_ms=30000))
    ok("GOAWAY", dict(reason=2, not_before_ms=0, spread_ms=0, endpoints=b"gw2:7433".hex()))
    ok("ERROR", dict(code=20, retry=0, after_ms=0, message="no such object"), reqid=2**64 - 1)
    ok("SUBSCRIBE", dict(log_size=9, epoch=1, revision=77, own=1, subjects=[]))
    ok("SUBSCRIBE", dict(log_size=0, epoch=0, revision=0, own=0, subjects=[dict(type=4, name="edge-tls", prefix=0),
                                                                          dict(type=0, name="app/", prefix=1)]))
    ok("BUNDLE", dict(scope=1, height=12, log_size=30, bundle="0102030405"), flags=8)
    ok("TICK", dict(height=13, log_size=30, bundle="01"))
    ok("CONFIG", dict(kind=1, epoch=1, revision=78, values=[VALUE, dict(VALUE, gen=4, state=2, value="")]))
    ok("CONFIG", dict(kind=2, epoch=1, revision=78, values=[]), flags=8)
    ok("RESYNC", dict(reason=1, what=1))
    ok("HEADS", dict(kind=1, head="0102"))
    ok("CERT_REQUEST", dict(object="edge-tls", gen=2, csr="3000"), reqid=1, deadline=5000)
    ok("CERT_REPLY", dict(object="edge-tls", gen=2, leaf="3001", chain="3002"), reqid=1)
    ok("KEY_REQUEST", dict(object="shared", gen=1, seal_key=rep(2, 32), signature=rep(3, 64)), reqid=128)
    ok("KEY_REPLY", dict(object="shared", gen=1, sealed="ff", leaf="30", chain=""), reqid=128)
    ok("REPORT", dict(type=4, object="edge-tls", serving_gen=1, tried_gen=2, result=3, error_code=107,
                      error="exit 1", latency_ms=130, rollout_id=1003, serial=rep(0x7F, 16),
                      not_after_ms=1800000000000), reqid=5)
    ok("REPORT_ACK", {}, reqid=5)
    ok("REGISTER", dict(seq=1, service="web", id=rep(0x11, 16), op=1, addr="6:" + rep(0xFD, 16), port=443, ttl_s=0,
                        weight=255, health=2, epoch=1))
    ok("REGISTER_BATCH", dict(seq=2, services=[dict(name="web"), dict(name="db")],
                              workloads=[WORK, dict(WORK, id=rep(0x12, 16), service=1, addr="0:")]))
    ok("REGISTER_ACK", dict(seq=2, refused="02"))


def make_invalid():
    hb = frame("HEARTBEAT", {})
    bad("", "TRUNCATED", "nothing at all")
    bad("02", "TRUNCATED", "a length and no more")
    bad("0208", "TRUNCATED", "cut after the type")
    bad("820008", "MALFORMED", "length in a longer form than needed")
    bad("ffffffff7f0800", "TOO_BIG", "a length of five bytes")
    bad("0108", "MALFORMED", "shorter than type and flags")
    bad("00", "MALFORMED", "empty frame")
    bad(hb.hex() + "00", "MALFORMED", "a byte after the frame")
    bad("020820", "UNSUPPORTED", "unknown flag")
    bad("020802", "UNSUPPORTED", "compressed, which version 1 has not")
    bad("027e00", "NOT_FOUND", "a type nobody defined")
    bad("020801", "MALFORMED", "request id promised and absent")
    bad("03080180", "MALFORMED", "request id cut off")
    bad("0408018000", "MALFORMED", "request id in a longer form than needed")
    bad("0d0801ffffffffffffffffff02", "TRUNCATED", "frame shorter than its length")
    bad("0d0801ffffffffffffffffffff02", "MALFORMED", "request id above 2^64")
    bad(frame("HEARTBEAT", {}, tail=bytes([3, 1, 0])), "UNSUPPORTED", "unknown critical extension")
    bad(frame("HEARTBEAT", {}, tail=bytes([4, 0, 2, 0])), "MALFORMED", "extensions out of order")
    bad(frame("HEARTBEAT", {}, tail=bytes([2, 0, 2, 0])), "MALFORMED", "the same extension twice")
    bad(frame("HEARTBEAT", {}, tail=bytes([0, 0])), "MALFORMED", "tag 0")
    bad(frame("HEARTBEAT", {}, tail=bytes([2, 5, 1])), "TRUNCATED", "extension longer than the frame")
    bad(frame("HEARTBEAT", {}, tail=bytes([8]) + counted(b"x" * 70)), "TOO_BIG", "body above its type's limit")
    bad(frame("HEARTBEAT_ACK", {}, tail=bytes([2, 2, 1, 1])), "MALFORMED", "extension with bytes after its number")
    bad(frame("HEARTBEAT_ACK", dict(heartbeat_ms=3600001)), "TOO_BIG", "number above its bound")
    bad(frame("HELLO", dict(HELLO, magic="52564132")), "MALFORMED", "another magic")
    bad(frame("HELLO", dict(HELLO, version_min=2)), "MALFORMED", "version_min above version_max")
    bad(frame("HELLO", dict(HELLO, max_frame=1000)), "MALFORMED", "announces less than everybody must take")
    bad(frame("HELLO", HELLO)[:-1][0:1] + frame("HELLO", HELLO)[1:-1], "TRUNCATED", "last byte missing")
    short = frame("HELLO", HELLO)[1:-1]
    bad(counted(short), "TRUNCATED", "last field short by one byte, length right")
    bad(frame("AUTH", dict(mode=3, key=rep(1, 32), seal_key=rep(2, 32), signature=rep(3, 64), agent_version="")),
        "MALFORMED", "mode out of range")
    bad(frame("AUTH", dict(mode=1, key=rep(1, 32), seal_key=rep(2, 32), signature=rep(3, 64), agent_version="v" * 32)),
        "TOO_BIG", "text above its bound")
    enroll = frame("ENROLL", dict(token=rep(4, 8), secret=rep(5, 16), labels=[dict(key="a", value="b")], addr_hint=""))
    bad(enroll.replace(b"\x01a\x01b", b"\x01a\x01\xff"), "MALFORMED", "invalid UTF-8 in a name")
    bad(enroll.replace(b"\x01a\x01b", b"\x01\x00\x01b"), "MALFORMED", "NUL in a name")
    bad(enroll.replace(b"\x01a\x01b", b"\x01a\x01\n"), "MALFORMED", "control character in a name")
    bad(frame("ENROLL", dict(token=rep(4, 8), secret=rep(5, 16), labels=[dict(key="a", value="b")] * 17, addr_hint="")),
        "TOO_BIG", "17 labels")
    bad(frame("AUTH_OK", dict(status=1, ordinal=2**32, region="", labels=[], resume="")), "TOO_BIG", "ordinal of 33 bits")
    many = frame("SUBSCRIBE", dict(log_size=0, epoch=0, revision=0, own=1, subjects=[]))
    bad(many[:-1] + b"\x05", "TRUNCATED", "list promises items that are not there")
    bad(frame("CONFIG", dict(kind=1, epoch=1, revision=1, values=[dict(VALUE, state=4)])), "MALFORMED", "state out of range in an item")
    bad(frame("REGISTER_BATCH", dict(seq=1, services=[], workloads=[WORK])), "MALFORMED", "service index beyond its list")
    bad(frame("REGISTER_BATCH", dict(seq=1, services=[dict(name="web")], workloads=[])), "MALFORMED", "no workload")
    bad(frame("REGISTER_BATCH", dict(seq=1, services=[dict(name="web")], workloads=[dict(WORK, addr="5:00")])),
        "MALFORMED", "address family nobody knows")
    bad(frame("REPORT", dict(type=3, object="x", serving_gen=0, tried_gen=0, result=0, error_code=0, error="",
                             latency_ms=0, rollout_id=0, serial="", not_after_ms=0), reqid=1), "MALFORMED", "report about an authority")
    bad(frame("CERT_REQUEST", dict(object="x", gen=1, csr="00" * 8193), reqid=1), "TOO_BIG", "request above its bound")


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def make_tokens():
    name = b"eu-west"
    raw = bytes([1]) + b"\x10" * 32 + b"\x20" * 32 + bytes([len(name)]) + name + b"\x30" * 8 + b"\x40" * 16
    good = "reeve1." + b64(raw)
    yield dict(text=good, chain_id=rep(0x10, 32), set_hash=rep(0x20, 32), region="eu-west", id=rep(0x30, 8), secret=rep(0x40, 16))
    for text, note in [(good[:-1], "cut"), (good + "A", "longer"), (good + "\n", "white space"), (good + "==", "padding"),
                       ("reeve2." + good[7:], "another prefix"), ("Reeve1." + good[7:], "upper case"), ("", "empty"),
                       ("reeve1.", "nothing inside"), ("reeve1." + b64(b"\x02" + raw[1:]), "another version"),
                       ("reeve1." + b64(raw + b"\0"), "a byte too many"),
                       ("reeve1." + b64(raw[:65] + b"\0" + b"\x30" * 24), "empty region"),
                       ("reeve1." + b64(raw).replace("E", "+", 1), "the other alphabet")]:
        yield dict(text=text, error="MALFORMED", note=note)


def make_proofs():
    chain, key = b"\x01" * 32, b"\x02" * 32
    unsigned = bytes([1]) + chain + bytes([2]) + b"eu" + key + (1000).to_bytes(8, "big") + (2000).to_bytes(8, "big")
    yield dict(kind="delegation", hex=(unsigned + b"\x03" * 64).hex(), chain_id=chain.hex(), region="eu",
               gateway_key=key.hex(), not_before=1000, not_after=2000, signature=rep(3, 64),
               message=(b"reeve-delegation-v1\0" + unsigned).hex())
    for h, note in [(unsigned, "no signature"), (unsigned + b"\x03" * 65, "a byte too many"),
                    (b"\x02" + unsigned[1:] + b"\x03" * 64, "another version"),
                    (unsigned[:-16] + unsigned[-8:] + unsigned[-16:-8] + b"\x03" * 64, "ends before it begins"),
                    (bytes([1]) + chain + bytes([0]) + unsigned[36:] + b"\x03" * 64, "empty region")]:
        yield dict(kind="delegation", hex=h.hex(), error="MALFORMED", note=note)
    yield dict(kind="gateway", exporter=rep(0xE, 32), challenge=rep(0xC, 32),
               message=(b"reeve-gateway-v1\0" + b"\x0e" * 32 + b"\x0c" * 32).hex())
    yield dict(kind="agent", exporter=rep(0xE, 32), challenge=rep(0xC, 32), seal_key=rep(0x5, 32),
               message=(b"reeve-agent-v1\0" + b"\x0e" * 32 + b"\x0c" * 32 + b"\x05" * 32).hex())
    yield dict(kind="seal", chain_id=rep(0x1, 32), seal_key=rep(0x5, 32),
               message=(b"reeve-seal-v1\0" + b"\x01" * 32 + b"\x05" * 32).hex())
    node = hashlib.sha256(b"reeve-node-v1\0" + b"\x07" * 32).digest()[:16]
    yield dict(kind="node", key=rep(7, 32), node=node.hex())


def write(name, rows):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")


make_valid()
make_invalid()
write("frames.json", valid + invalid)
write("token.json", list(make_tokens()))
write("proof.json", list(make_proofs()))
