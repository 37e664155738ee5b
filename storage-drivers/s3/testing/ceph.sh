#!/bin/bash
# A real S3 server for tests, on loopback only: a Ceph RADOS Gateway on one monitor and one store.
#
#   apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw      # Debian 12: Ceph 16.2
#
#   ceph.sh start [-p PORT] [-d DIR] [-o PID]   start it unless it runs; prints S3_* lines once it answers (5 s)
#   ceph.sh stop  [-d DIR]                      stop it by its pid files; the next start goes on with its data
#   ceph.sh wipe  [-d DIR]                      stop it and delete DIR
#
# With -o it is wiped as soon as that process has ended, in whatever way. Where S3_ENDPOINT is set, start only prints
# S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY and S3_SECRET_KEY: that server is to be used.
# Ports on 127.0.0.1: PORT (S3), PORT+1 (monitor), four of PORT+2 … PORT+40 (store).
# Environment, with defaults in brackets:
#   S3_PORT [9000], S3_DIR [TMPDIR/berth-s3], S3_OWNER [none]: the same as the options
#   S3_TIMEOUT [60] seconds for a start
#   S3_ACCESS_KEY, S3_SECRET_KEY [random, kept in DIR/s3.env]
#   S3_SIZE [16G] of the store, a sparse file; writes to a full store hang
#   S3_STORE [bluestore] or memstore: all in memory
set -eu
umask 077
export LC_ALL=C.UTF-8

command=${1:-start}; [ $# -gt 0 ] && shift
PORT=${S3_PORT:-9000} DIR=${S3_DIR:-${TMPDIR:-/tmp}/berth-s3} OWNER=${S3_OWNER:-}
while getopts p:d:o: option; do
  case $option in p) PORT=$OPTARG ;; d) DIR=$OPTARG ;; o) OWNER=$OPTARG ;; *) exit 2 ;; esac
done
STORE=${S3_STORE:-bluestore} SIZE=${S3_SIZE:-16G} TIMEOUT=${S3_TIMEOUT:-60}
case $DIR in /*) ;; *) DIR=$PWD/$DIR ;; esac
CONF=$DIR/ceph.conf MARK=$DIR/.berth-s3 BEGUN=$SECONDS

log() { echo "ceph.sh: $*" >&2; }
die() { log "$*"; exit 1; }

# The pid of a daemon that runs from this DIR; a pid file that is stale, or whose pid is somebody else's, does not count.
pid_of() {
  local pid; pid=$(cat "$DIR/run/$1.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$CONF" && echo "$pid"
}
running() { pid_of mon.a >/dev/null && pid_of osd.0 >/dev/null && pid_of client.rgw >/dev/null; }
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
answers() {
  (exec 3<>"/dev/tcp/127.0.0.1/$PORT" && printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
    IFS= read -r -t 5 line <&3 && cat <&3 >/dev/null && case $line in HTTP/1.*' 200'*) ;; *) false ;; esac) 2>/dev/null
}

stop() { # $1 = signal
  local name pid tenths limit
  for name in client.rgw osd.0 mon.a; do
    pid=$(pid_of $name) || continue
    kill -s "${1:-TERM}" "$pid" 2>/dev/null || :
    # Only the store has something to write on its way out.
    limit=50; [ $name != osd.0 ] || limit=200
    tenths=0; while pid_of $name >/dev/null && [ $tenths -lt $limit ]; do sleep 0.1; tenths=$((tenths + 1)); done
    if pid_of $name >/dev/null; then
      log "$name did not stop in $((limit / 10)) s, killing it"
      kill -s KILL "$pid" 2>/dev/null || :; sleep 0.2
    fi
    rm -f "$DIR/run/$name.pid"
  done
  rm -f "$DIR"/run/*.asok
}

remove() {
  [ -d "$DIR" ] || return 0
  [ -e "$MARK" ] || [ -z "$(ls -A "$DIR")" ] || die "$DIR is not empty and not ours: not deleting it"
  rm -rf "$DIR"
}

write_conf() { # $1 = fsid, $2 = store, $3 = port of the monitor
  local bytes; bytes=$(numfmt --from=iec "$SIZE")
  cat >"$CONF" <<END
[global]
fsid = $1
mon initial members = a
mon host = [v2:127.0.0.1:$3/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
ms bind port min = $(($3 + 1))
ms bind port max = $(($3 + 39))
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
# Changes of the map at once and not once a second: most of a start is making pools.
paxos propose interval = 0.05
paxos min wait = 0.01
osd crush chooseleaf type = 0
log file = $DIR/log/\$name.log
pid file = $DIR/run/\$name.pid
admin socket = $DIR/run/\$name.asok
run dir = $DIR/run
crash dir = $DIR/run/crash
keyring = $DIR/\$name.keyring
mon data = $DIR/mon
osd data = $DIR/osd
osd objectstore = $2
bluestore block size = $bytes
memstore device bytes = $bytes
osd memory target = 939524096
osd op num shards = 2
osd fast shutdown = false
# Clients that died, and the time before a crash, are soon forgotten.
osd client watch timeout = 3
osd pool default read lease ratio = 0.05
[mon]
keyring = $DIR/mon/keyring
[osd]
keyring = $DIR/osd/keyring
[client.admin]
admin socket =
log file = $DIR/log/admin.log
[client.rgw]
rgw data = $DIR/rgw
rgw frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
rgw dns name = localhost
rgw rados pool pg num min = 1
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw thread pool size = 256
rgw gc obj min wait = 20
rgw gc processor period = 20
rgw enable usage log = false
END
}

daemon() { # name of the pid file, then the program and its arguments
  local name=$1; shift
  ! pid_of "$name" >/dev/null || return 0
  rm -f "$DIR/run/$name.pid" "$DIR/run/$name.asok"
  "$@" -c "$CONF" </dev/null >>"$DIR/log/start.log" 2>&1 || die "$1 did not start: see $DIR/log"
}

make_store() { # $1 = kind of the store
  local fsid osd monitor=$((PORT + 1)) keys=$DIR/boot.keyring
  fsid=$(cat /proc/sys/kernel/random/uuid) osd=$(cat /proc/sys/kernel/random/uuid)
  remove; mkdir -p "$DIR"; : >"$MARK"; mkdir -p "$DIR"/{mon,osd,rgw,log,run/crash}
  write_conf "$fsid" "$1" $monitor
  {
    ceph-authtool --create-keyring "$keys" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool --create-keyring "$DIR/client.admin.keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
    ceph-authtool --create-keyring "$DIR/client.rgw.keyring" --gen-key -n client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx'
    ceph-authtool --create-keyring "$DIR/osd/keyring" --gen-key -n osd.0
    ceph-authtool "$keys" --import-keyring "$DIR/client.admin.keyring"
    ceph-authtool "$keys" --import-keyring "$DIR/client.rgw.keyring"
    monmaptool --create --addv a "[v2:127.0.0.1:$monitor]" --fsid "$fsid" "$DIR/monmap"
    ceph-mon -i a --mkfs --monmap "$DIR/monmap" --keyring "$keys" -c "$CONF"
  } >>"$DIR/log/init.log" 2>&1 || die "could not make the monitor: see $DIR/log/init.log"
  daemon mon.a ceph-mon -i a
  printf '{"cephx_secret":"%s"}' "$(ceph-authtool -p -n osd.0 "$DIR/osd/keyring")" |
    ceph -c "$CONF" --connect-timeout "$TIMEOUT" osd new "$osd" -i - >>"$DIR/log/init.log" 2>&1 ||
    die "the monitor did not accept the store: see $DIR/log"
  ceph-osd -i 0 --mkfs --osd-uuid "$osd" -c "$CONF" >>"$DIR/log/init.log" 2>&1
}

# Outlives whatever starts it, and wipes the server when its owner has ended.
guard() {
  tail --pid="$OWNER" --sleep-interval=0.5 -f /dev/null || :
  locked wipe
}

start() {
  local access=${S3_ACCESS_KEY:-} secret=${S3_SECRET_KEY:-} program port known='' tries=0
  if [ -e "$DIR/s3.env" ]; then
    port=$(sed -n 's/^S3_ENDPOINT=.*:\([0-9]*\)$/\1/p' "$DIR/s3.env")
    [ "$port" = "$PORT" ] || ! pid_of client.rgw >/dev/null || die "already running on port $port: stop it first"
    known=$(sed -n 's/^S3_ACCESS_KEY=//p;s/^S3_SECRET_KEY=/ /p' "$DIR/s3.env" | tr -d '\n')
    access=${access:-${known% *}} secret=${secret:-${known#* }}
    if [ "$known" = "$access $secret" ] && running && answers; then return; fi
  elif [ -e "$DIR" ]; then # a first start that did not come to its end
    [ ! -e "$MARK" ] || stop
    remove
  fi
  for program in ceph-mon ceph-osd radosgw; do
    command -v $program >/dev/null ||
      die "$program is not installed: apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw"
  done
  pid_of client.rgw >/dev/null || ! listening "$PORT" || die "port $PORT is taken"
  if [ -n "$OWNER" ]; then
    S3_OWNER=$OWNER S3_DIR=$DIR setsid "$0" guard </dev/null >/dev/null 2>&1 &
  fi

  if [ -z "$known" ]; then
    ! listening $((PORT + 1)) || die "port $((PORT + 1)) (monitor) is taken"
    if ! make_store "$STORE"; then
      [ "$STORE" = bluestore ] || die "could not make the store: see $DIR/log"
      log "no bluestore here (a file system without O_DIRECT?): using memstore"
      stop; make_store memstore || die "could not make the store: see $DIR/log"
    fi
  else # the same store and monitor again, maybe behind another port
    write_conf "$(sed -n 's/^fsid = //p' "$CONF")" "$(sed -n 's/^osd objectstore = //p' "$CONF")" \
      "$(sed -n 's/^mon host = .*:\([0-9]*\)\/0\]$/\1/p' "$CONF")"
    daemon mon.a ceph-mon -i a
  fi
  daemon osd.0 ceph-osd -i 0
  daemon client.rgw radosgw -n client.rgw
  until answers; do
    pid_of client.rgw >/dev/null || [ $tries -lt 20 ] || die "radosgw ended: $(tail -n 3 "$DIR/log/client.rgw.log")"
    [ $((SECONDS - BEGUN)) -lt "$TIMEOUT" ] || die "not ready after $TIMEOUT s: see $DIR/log"
    sleep 0.1; tries=$((tries + 1))
  done
  access=${access:-AK$(tr -dc 'A-Z0-9' </dev/urandom | head -c 18)}
  secret=${secret:-$(tr -dc 'A-Za-z0-9' </dev/urandom | head -c 40)}
  admin() {
    radosgw-admin -n client.rgw -c "$CONF" --admin-socket= --log-file="$DIR/log/admin.log" "$@" \
      --access-key="$access" --secret-key="$secret" >>"$DIR/log/admin.log" 2>&1 || die "could not make the keys: see $DIR/log/admin.log"
  }
  if [ -z "$known" ]; then admin user create --uid=berth --display-name=berth
  elif [ "$known" != "$access $secret" ]; then admin key create --uid=berth --key-type=s3; fi
  printf 'S3_ENDPOINT=http://127.0.0.1:%s\nS3_REGION=us-east-1\nS3_ACCESS_KEY=%s\nS3_SECRET_KEY=%s\n' "$PORT" "$access" "$secret" >"$DIR/s3.env.new"
  mv "$DIR/s3.env.new" "$DIR/s3.env"
}

wipe() { stop KILL; remove; rm -f "$DIR.lock"; }

locked() { # one start or stop at a time for one DIR; what is started must not inherit the lock
  exec 9>"$DIR.lock"; flock -w "$TIMEOUT" 9 || die "another one holds $DIR.lock"
  "$@" 9>&-
}

DIR=${DIR%/}
mkdir -p "$(dirname "$DIR")"
case $command in
  start)
    if [ -n "${S3_ENDPOINT:-}" ]; then
      for name in S3_ENDPOINT S3_REGION S3_ACCESS_KEY S3_SECRET_KEY; do
        [ -n "${!name:-}" ] || die "S3_ENDPOINT is set and $name is not"
        echo "$name=${!name}"
      done
    else
      locked start; cat "$DIR/s3.env"
    fi ;;
  stop) locked stop ;;
  wipe) locked wipe ;;
  guard) guard ;;
  *) die 'start | stop | wipe' ;;
esac
