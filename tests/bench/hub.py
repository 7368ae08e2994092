#!/usr/bin/env python3
"""Measures a hub: memory, idle processor time, answers a second, how fast it respawns, notices,
boots and carries lines. Usage: hub.py PATH-TO-PARACHUTE [NAME ...]; prints one line a figure."""

import atexit, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

EXE = os.path.abspath(sys.argv[1])
ONLY = sys.argv[2:]


class Box:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="parachute-bench-")
        self.home = os.path.join(self.dir, ".parachute")
        os.makedirs(self.home)
        self.rows = []

    def add(self, name, port, command):
        folder = os.path.join(self.home, name, ".parachute")
        os.makedirs(folder)
        with open(os.path.join(folder, "module.json"), "w") as f:
            json.dump({"startCmd": command}, f)
        self.rows.append({"name": name, "port": port, "paths": [], "health": "/health", "version": "1"})

    def serve(self):
        with open(os.path.join(self.home, "services.json"), "w") as f:
            json.dump({"services": self.rows}, f)
        env = {"PATH": os.environ["PATH"], "HOME": self.dir, "PARACHUTE_HOME": self.home, "PORT": str(free())}
        self.port = int(env["PORT"])
        self.begun = time.time()
        self.err = open(os.path.join(self.dir, "err"), "wb")
        atexit.register(lambda: self.hub.poll() is None and self.hub.terminate())
        self.hub = subprocess.Popen([EXE, "serve"], env=env, stdout=subprocess.DEVNULL, stderr=self.err)
        while not self.connects():
            time.sleep(0.0005)
        self.ask("/health")
        self.answered = time.time()
        with open(os.path.join(self.home, "operator.token")) as f:
            self.token = f.read().strip()
        return self

    def connects(self):
        try:
            self.stream = socket.create_connection(("127.0.0.1", self.port))
            self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
            return True
        except OSError:
            return False

    def ask(self, path, method="GET"):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if hasattr(self, "token"):
            head += f"Authorization: Bearer {self.token}\r\n"
        self.stream.sendall((head + "\r\n").encode())
        data = self.rest
        while b"\r\n\r\n" not in data:
            more = self.stream.recv(65536)
            if not more:
                # An idle connection is closed after a while.
                self.connects()
                return self.ask(path, method)
            data += more
        top, body = data.split(b"\r\n\r\n", 1)
        size = int([l for l in top.lower().split(b"\r\n") if l.startswith(b"content-length:")][0].split(b":")[1])
        parts = [body]
        have = len(body)
        while have < size:
            parts.append(self.stream.recv(1 << 20))
            have += len(parts[-1])
        body = b"".join(parts)
        self.rest = body[size:]
        return body[:size]

    def states(self):
        return {s["short"]: s for s in json.loads(self.ask("/api/modules"))["supervised"]}

    def wait(self, what):
        while True:
            got = what()
            if got:
                return got
            time.sleep(0.002)

    def rss(self):
        with open(f"/proc/{self.hub.pid}/status") as f:
            return [int(l.split()[1]) for l in f if l.startswith("VmRSS")][0]

    def cpu(self):
        with open(f"/proc/{self.hub.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.hub.send_signal(signal.SIGTERM)
        begun = time.time()
        self.hub.wait(30)
        took = time.time() - begun
        shutil.rmtree(self.dir)
        return took


def free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def show(name, value):
    print(f"{name:55} {value}", flush=True)


def sleepers(box, count, command=("/bin/sleep", "100000")):
    for n in range(count):
        box.add(f"m{n}", 10000 + n, list(command))


def five():
    box = Box()
    for n in range(5):
        box.add(f"m{n}", free(), [EXE, "__module"])
    box.serve()
    box.wait(lambda: all(s["status"] == "running" for s in box.states().values()))
    show("serve to /health with 5 modules, ms", f"{(box.answered - box.begun) * 1000:.1f}")
    time.sleep(3)
    show("RSS with 5 idle modules, MB", f"{box.rss() / 1024:.1f}")
    box.end()


def many():
    box = Box()
    sleepers(box, 500)
    box.serve()
    box.wait(lambda: sum("pid" in s for s in box.states().values()) == 500)
    show("500 modules spawned after, s", f"{time.time() - box.begun:.2f}")
    time.sleep(20)
    show("RSS with 500 idle modules, MB", f"{box.rss() / 1024:.1f}")
    before = box.cpu()
    time.sleep(20)
    show("processor of 500 idle modules, % of a core", f"{(box.cpu() - before) / 20 * 100:.2f}")
    times = []
    begun = time.time()
    while time.time() - begun < 5:
        one = time.perf_counter()
        box.ask("/api/modules")
        times.append(time.perf_counter() - one)
    times.sort()
    show("GET /api/modules of 500, p99 ms", f"{times[int(len(times) * .99)] * 1000:.2f}")
    show("GET /api/modules of 500, requests/s", f"{len(times) / 5:.0f}")
    show("500 modules stopped in, s", f"{box.end():.2f}")


def rings():
    box = Box()
    line = "x" * 99
    sleepers(box, 500, ["/bin/sh", "-c", f"yes {line} | head -n 800; exec sleep 100000"])
    box.serve()
    box.wait(lambda: sum("pid" in s for s in box.states().values()) == 500)
    time.sleep(8)
    show("RSS with 500 full rings, MB", f"{box.rss() / 1024:.1f}")
    box.end()


def respawn():
    over = []
    for _ in range(25):
        box = Box()
        log = os.path.join(box.dir, "born")
        box.add("m", free(), ["/usr/bin/python3", "-c",
            f"import time; open({log!r}, 'a').write(str(time.time()) + '\\n'); time.sleep(1000)"])
        # What python itself needs to begin is measured apart and taken off.
        one = time.time()
        subprocess.run(["/usr/bin/python3", "-c", "import time"])
        python = time.time() - one
        box.serve()
        lines = lambda: open(log).read().split() if os.path.exists(log) else []
        box.wait(lambda: len(lines()) == 1)
        for round in (2, 3):
            pid = box.wait(lambda: box.states()["m"].get("pid"))
            os.kill(pid, signal.SIGKILL)
            killed = time.time()
            box.wait(lambda: len(lines()) == round)
            over.append(float(lines()[-1]) - killed - 0.5 - python)
        box.end()
    show("crash to respawn above the delay, median ms", f"{statistics.median(over) * 1000:.1f}")


def notice():
    took = []
    for _ in range(20):
        box = Box()
        log = os.path.join(box.dir, "bound")
        port = free()
        box.add("m", port, ["/usr/bin/python3", "-c", "import socket,time\n"
            "time.sleep(0.2)\n"
            f"s=socket.socket(); s.bind(('127.0.0.1',{port})); s.listen()\n"
            f"open({log!r},'w').write(str(time.time()))\n"
            "time.sleep(1000)"])
        box.serve()
        box.wait(lambda: os.path.exists(log) and open(log).read())
        box.wait(lambda: json.loads(box.ask("/api/ready"))["ready_modules"])
        took.append(time.time() - float(open(log).read()))
        box.end()
    show("bound to noticed, median ms (polled each 2 ms)", f"{statistics.median(took) * 1000:.1f}")


def hundred():
    box = Box()
    for n in range(100):
        box.add(f"m{n}", free(), [EXE, "__module", "--bind-after", "200"])
    box.serve()
    box.wait(lambda: len(json.loads(box.ask("/api/ready"))["ready_modules"]) == 100)
    show("100 modules that bind after 200 ms, all ready, s", f"{time.time() - box.begun:.2f}")
    box.end()


def pump():
    size = 200 * 1000 * 1000
    line = "x" * 99
    box = Box()
    done = os.path.join(box.dir, "done")
    box.add("m", free(), ["/bin/sh", "-c", f"yes {line} | head -c {size}; date +%s.%N > {done}; exec sleep 1000"])
    begun = time.time()
    box.serve()
    box.wait(lambda: os.path.exists(done) and open(done).read().strip())
    show("log pump, MB/s", f"{size / 1e6 / (float(open(done).read()) - begun):.0f}")
    box.end()
    if shutil.which("s6-log"):
        folder = tempfile.mkdtemp()
        begun = time.time()
        subprocess.run(f"yes {line} | head -c {size} | s6-log n5 s10485760 {folder}", shell=True, check=True)
        show("s6-log, MB/s", f"{size / 1e6 / (time.time() - begun):.0f}")
        shutil.rmtree(folder)


for measure in (five, notice, respawn, hundred, pump, rings, many):
    if not ONLY or measure.__name__ in ONLY:
        measure()
