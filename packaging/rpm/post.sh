# The user, the box's folder, the unit. What goes wrong with the hub is said and fails nothing.
# systemd's tools, or the plain ones where those are not there or want a /proc.
systemd-sysusers parachute.conf 2>/dev/null ||
    useradd --system --user-group --no-create-home --home-dir /var/lib/parachute \
        --shell /usr/sbin/nologin parachute || :
systemd-tmpfiles --create parachute.conf 2>/dev/null ||
    install -d -m 0755 -o parachute -g parachute /var/lib/parachute || :
if [ "$1" -eq 1 ]; then
    timeout -k 5 65 /usr/bin/parachute hook post-install </dev/null ||
        echo "parachute: the hub is not set up; \`systemctl enable --now parachute-hub.service\` does what is missing" >&2
else
    timeout -k 5 65 /usr/bin/parachute hook post-upgrade </dev/null ||
        echo "parachute: the hub may still run the version of before; \`systemctl try-restart parachute-hub.service\` changes that" >&2
fi
exit 0
