#!/usr/bin/env bash
# Set up the inspection loop on a Raspberry Pi (64-bit Raspberry Pi OS, or any Debian with systemd).
#
#   sudo ./install.sh --channel https://models.example.org/inspector --key PUBLIC_KEY [--name inspector]
#                     [--source camera|FOLDER] [--threads 1] [--from DIR_OR_WHEEL] [--dry-run]
#
# Running it again changes the settings and keeps models, counters and logs.
set -euo pipefail

NAME=inspector
SOURCE=camera
THREADS=1
CHANNEL=
KEY=
FROM=
DRY_RUN=0
HOME_DIR=/opt/cvprod-edge
STATE_DIR=/var/lib/cvprod-edge
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

# Run a command, or only print it under --dry-run.
run() {
    if [[ $DRY_RUN == 1 ]]; then
        printf '+'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

while (($#)); do
    case $1 in
        --channel | --key | --name | --source | --threads | --from)
            (($# >= 2)) || fail "$1 needs a value" 2
            declare "$(tr '[:lower:]' '[:upper:]' <<<"${1#--}")=$2"
            shift 2
            ;;
        --dry-run)
            DRY_RUN=1
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown option $1 (see --help)" 2 ;;
    esac
done

[[ -n $CHANNEL ]] || fail "--channel is missing: where do models come from?" 2
[[ -n $KEY ]] || fail "--key is missing: the public key that 'python -m cvprod.edge keygen' printed" 2
[[ $KEY =~ ^[A-Za-z0-9+/]{43}=$ ]] || fail "--key is not a public key (44 characters of base64)" 2
[[ $NAME =~ ^[A-Za-z0-9._-]+$ ]] || fail "--name may hold letters, digits and ._- only" 2
[[ $THREADS =~ ^[1-9][0-9]?$ ]] || fail "--threads must be a small whole number" 2
[[ $SOURCE != *[[:space:]]* ]] || fail "--source must not hold spaces" 2
if [[ $DRY_RUN == 0 ]]; then
    [[ $(id -u) == 0 ]] || fail "run it with sudo"
    command -v systemctl >/dev/null || fail "needs systemd"
    [[ $(uname -m) == aarch64 || $(uname -m) == x86_64 ]] || fail "LiteRT has no wheel for $(uname -m): use 64-bit Raspberry Pi OS"
fi

PACKAGES=(python3-venv)
VENV_OPTIONS=()
if [[ $SOURCE == camera* ]]; then
    # picamera2 comes from apt and is built against the system's libcamera, so the environment must see it.
    PACKAGES+=(python3-picamera2)
    VENV_OPTIONS+=(--system-site-packages)
fi
run apt-get update -q
run apt-get install -q -y --no-install-recommends "${PACKAGES[@]}"

id cvprod-edge >/dev/null 2>&1 || run useradd --system --home-dir "$STATE_DIR" --shell /usr/sbin/nologin --groups video cvprod-edge
run install -d -m 0755 "$HOME_DIR"
run install -d -m 0750 -o cvprod-edge -g cvprod-edge "$STATE_DIR"
run python3 -m venv "${VENV_OPTIONS[@]}" "$HOME_DIR/venv"
# Only what the loop imports. The package's own requirements would bring PyTorch, which a device neither needs nor holds.
run "$HOME_DIR/venv/bin/pip" install --quiet --disable-pip-version-check \
    "ai-edge-litert>=2" "cryptography>=45" "numpy>=2" "opencv-python-headless>=4.12" "pillow>=11" "pyyaml>=6" "simplejpeg>=1.8"
run "$HOME_DIR/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "${FROM:-$HERE/../../..}"

run install -m 0644 "$HERE/README.md" "$HOME_DIR/README.md"
for unit in cvprod-edge.service cvprod-edge-update.service cvprod-edge-update.timer; do
    run install -m 0644 "$HERE/$unit" "/etc/systemd/system/$unit"
done
CONFIG=$(printf 'SOURCE=%s\nTHREADS=%s\nMORE=\n' "$SOURCE" "$THREADS")
if [[ $DRY_RUN == 1 ]]; then
    printf '+ write /etc/cvprod-edge.conf:\n%s\n' "$CONFIG"
else
    printf '%s\n' "$CONFIG" >/etc/cvprod-edge.conf
fi

as_service() {
    run runuser -u cvprod-edge -- "$HOME_DIR/venv/bin/python" -m cvprod.edge "$@" --model-dir "$STATE_DIR"
}
as_service init --name "$NAME" --channel "$CHANNEL" --trust "$KEY"
as_service install
run systemctl daemon-reload
run systemctl enable --now cvprod-edge-update.timer cvprod-edge.service
printf 'Done. Watch it: journalctl -fu cvprod-edge; systemctl status cvprod-edge\n'
