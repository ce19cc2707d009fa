"""bundle.py PROFILE ROOTFS BUNDLE COMMAND…: an OCI bundle as podman would make it, for crun alone. The root file system is shared and read-only."""
import json
import os
import sys

CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE"]


def applies(rule):
    include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
    return (not set(include.get("caps", [])) - set(CAPABILITIES) and not set(exclude.get("caps", [])) & set(CAPABILITIES)
            and "amd64" in include.get("arches", ["amd64"]))


profile = json.load(open(sys.argv[1]))
seccomp = {key: profile[key] for key in ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata") if key in profile}
seccomp["architectures"] = ["SCMP_ARCH_X86_64"]
seccomp["syscalls"] = [{key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
                       for rule in profile["syscalls"] if applies(rule)]
bundle = sys.argv[3]
os.makedirs(bundle)
with open(bundle + "/config.json", "w") as out:
    json.dump({
        "ociVersion": "1.0.0",
        "process": {"args": sys.argv[4:], "cwd": "/", "env": ["PATH=/bin:/usr/bin:/usr/sbin"], "user": {"uid": 0, "gid": 0},
                    "capabilities": {name: CAPABILITIES for name in ("bounding", "effective", "permitted")}},
        "root": {"path": sys.argv[2], "readonly": True},
        "hostname": os.path.basename(bundle),
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}],
        "annotations": {"splitsock.name": os.path.basename(bundle)},
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")], "seccomp": seccomp},
    }, out)
