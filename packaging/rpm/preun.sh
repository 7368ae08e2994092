# Only when the last version goes: an upgrade leaves the hub running.
if [ "$1" -eq 0 ]; then
    timeout -k 5 65 /usr/bin/parachute hook pre-remove </dev/null ||
        echo "parachute: the hub may still run; \`systemctl disable --now parachute-hub.service\` ends it" >&2
fi
exit 0
