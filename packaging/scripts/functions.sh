# What installing and removing do to the host; the same for deb and rpm. Nothing here may fail an installation: a host whose port 53
# is taken, or that runs no systemd, has the files all the same.

unit=/etc/systemd/system/mesos-dns.service
kept=$unit.before-rollcall

# restart or stop. A policy of the host (policy-rc.d) may forbid it with status 101. It is not waited for, as deb-systemd-invoke would:
# the service is ready when a master has spoken, which may be never.
tell_systemd() {
    [ -d /run/systemd/system ] || return 0
    if command -v policy-rc.d >/dev/null 2>&1; then
        policy-rc.d rollcall "$1" || [ $? -ne 101 ] || return 0
    fi
    # Who has disabled it does not want it started by an upgrade.
    if [ "$1" = restart ] && ! systemctl --quiet is-enabled rollcall.service; then set -- try-restart; fi
    systemctl --no-block "$1" rollcall.service || true
}

make_user() {
    if command -v systemd-sysusers >/dev/null 2>&1; then
        systemd-sysusers rollcall.conf
    elif ! getent passwd rollcall >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/rollcall --no-create-home --shell /usr/sbin/nologin rollcall
    fi
}

# mesos-dns's own configuration is used as it is, and ours is made only where there is neither. What is there is never touched, but
# that our user may read it.
make_configuration() {
    if [ ! -e /etc/rollcall/config.json ] && [ ! -e /etc/mesos-dns/config.json ]; then
        install -m 644 /usr/share/rollcall/config.json /etc/rollcall/config.json
    fi
    for file in /etc/rollcall/config.json /etc/mesos-dns/config.json; do
        [ -e "$file" ] || continue
        as_user test -r "$file" || { chgrp rollcall "$file" && chmod g+r "$file"; } || true
    done
    as_user /usr/bin/rollcall check >/dev/null || echo "rollcall: mend the configuration, then: systemctl restart rollcall" >&2
}

as_user() { (cd /usr && setpriv --reuid rollcall --regid rollcall --clear-groups "$@"); }

# A mesos-dns.service that was written by hand would win over ours, which is a link to rollcall.service. It is put aside, and what
# started it at boot starts ours. It comes back when Rollcall is removed.
step_in() {
    [ -f "$unit" ] || return 0
    [ "$(readlink -f "$unit")" != /usr/lib/systemd/system/rollcall.service ] || return 0
    if [ -d /run/systemd/system ]; then systemctl stop mesos-dns.service || true; fi
    mv "$unit" "$kept"
}

step_back() {
    [ -e "$kept" ] && [ ! -e "$unit" ] || return 0
    mv "$kept" "$unit"
}

reload_units() { [ ! -d /run/systemd/system ] || systemctl daemon-reload || true; }
