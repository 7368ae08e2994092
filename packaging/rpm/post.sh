# The user, the box's folder, the unit. What goes wrong with the hub is said and fails nothing.
if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers parachute.conf || :
elif ! grep -q '^parachute:' /etc/passwd; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/parachute \
        --shell /usr/sbin/nologin parachute || :
fi
if command -v systemd-tmpfiles >/dev/null 2>&1; then
    systemd-tmpfiles --create parachute.conf || :
elif ! [ -d /var/lib/parachute ]; then
    install -d -m 0755 -o parachute -g parachute /var/lib/parachute || :
fi
if [ "$1" -eq 1 ]; then
    timeout -k 5 65 /usr/bin/parachute hook post-install </dev/null ||
        echo "parachute: the hub is not set up; \`systemctl enable --now parachute-hub.service\` does what is missing" >&2
else
    timeout -k 5 65 /usr/bin/parachute hook post-upgrade </dev/null ||
        echo "parachute: the hub may still run the version of before; \`systemctl try-restart parachute-hub.service\` changes that" >&2
fi
exit 0
