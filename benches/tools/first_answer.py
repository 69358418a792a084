#!/usr/bin/env python3
"""Starts a program and measures the time to its first answer. usage: first_answer.py PORT NAME PIDFILE COMMAND...

Prints the seconds from the start of the process to the first NOERROR answer with a record for NAME A; leaves the process running
and its id in PIDFILE. Exit status 1 after 120 seconds or when the process ends."""
import socket, struct, subprocess, sys, time

port, name, pidfile, command = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
question = b"".join(bytes([len(l)]) + l.encode() for l in name.rstrip(".").split(".")) + b"\0\0\1\0\1"
log = open(pidfile + ".log", "ab")
start = time.monotonic()
process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
open(pidfile, "w").write(str(process.pid))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(0.005)
number = 0
while time.monotonic() - start < 120:
    number = (number + 1) & 0xFFFF
    try:
        udp.sendto(struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + question, ("127.0.0.1", port))
        reply = udp.recv(4096)
        if len(reply) > 12 and reply[3] & 15 == 0 and reply[6:8] != b"\0\0":
            print("%.3f" % (time.monotonic() - start))
            sys.exit(0)
    except OSError: pass
    if process.poll() is not None: sys.exit("it ended with status %d: %s" % (process.returncode, pidfile + ".log"))
    time.sleep(0.002)
process.kill()
sys.exit("no answer after 120 seconds")
