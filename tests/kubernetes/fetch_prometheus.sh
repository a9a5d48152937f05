#!/bin/sh
# Debian's or Ubuntu's Prometheus, with promtool, unpacked into a folder: nothing is installed, no root is needed.
# apt itself checks the package against the signed lists. Usage: fetch_prometheus.sh FOLDER
set -eu
folder=$1
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "[setup-prometheus] no apt on this machine: put prometheus and promtool on the PATH instead."
    echo "[setup-prometheus] Without them the tests of alerts and of scraping are SKIPPED."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
# With the machine's own lists if it has any, else with lists of ours, which only we see.
ours="-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
fetch() { (cd "$work" && apt-get -q -o APT::Sandbox::User=root "$@" download prometheus); }
if ! fetch >"$work/log" 2>&1; then
    # shellcheck disable=SC2086 # options, each a word of its own
    apt-get -q $ours update >>"$work/log" 2>&1 && fetch $ours >>"$work/log" 2>&1 || {
        tail -n 5 "$work/log"
        echo "[setup-prometheus] apt could not fetch the package prometheus; the tests of alerts and of scraping are SKIPPED."
        exit 0
    }
fi
rm -rf "$folder"
mkdir -p "$folder"
dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$folder" ./usr/bin
"$folder/usr/bin/promtool" --version 2>&1 | head -n 1
