package ssh

import (
	"context"
	"strings"

	"rbee.dev/rbee/ops"
)

// The exit statuses of the scripts here, beyond those of the tools.
const (
	exitNoFolder  = 91
	exitNoWrite   = 92
	exitDifferent = 93
	exitIsFolder  = 94
	exitNoHash    = 95
)

// prepareScript makes an empty temporary file, which shows whether the folder
// can be written. $1 folder, $2 temporary file, $3 prefix of this owner's
// earlier ones, $4 prefix of anybody's, $5 the file to be. It prints free=BYTES.
const prepareScript = `
[ -d "$1" ] || exit 91
[ -d "$5" ] && exit 94
rm -f -- "$1/$3"*
find "$1" -maxdepth 1 -name "$4*" -mmin +60 -exec rm -f -- {} + 2>/dev/null
umask 077
printf '' > "$2" || exit 92
` + freeScript

// freeScript prints how much room there is in $1, where df tells: the fourth
// column of the second line (POSIX df -P), in units of 1024 bytes.
const freeScript = `
df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ kib _ && echo "free=$((kib * 1024))"; }
exit 0
`

// undoScript removes the temporary file $1, after it has shown what room there
// was in $2 besides it.
const undoScript = `
temp=$1
shift
rm_temp() { rm -f -- "$temp"; }
trap rm_temp EXIT
` + freeScript

// receiveScript is what SFTP does elsewhere: standard input into $1.
const receiveScript = `cat > "$1" || exit 92`

// finishScript compares the hash of the temporary file $1 with $2, sets the
// mode $4, and moves it to $3. $5 is "read" where it was compared otherwise.
const finishScript = `
hash() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum
	elif command -v shasum >/dev/null 2>&1; then shasum -a 256
	elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
	else exit 95
	fi
}
if [ "$5" != read ]; then
	sum=$(hash < "$1") || exit 95
	[ "${sum%% *}" = "$2" ] || { echo "its hash is $sum" >&2; exit 93; }
fi
[ -d "$3" ] && exit 94
chmod "$4" "$1" && { sync "$1" 2>/dev/null || :; } && mv -f -- "$1" "$3"
`

// prepare makes the temporary file.
func (u *upload) prepare(ctx context.Context) error {
	out, err := u.conn.Run(ctx, Command{Script: prepareScript, Args: []string{
		u.folder, u.temp, uploadPrefix + u.file.Owner + "-", uploadPrefix, u.file.Path,
	}})
	if err != nil {
		return err
	}
	if out.Exit != 0 {
		return u.errScript(out)
	}
	if free, known := field(out.Stdout, "free"); known && free < u.file.Size {
		return u.undo(ctx, u.errFull(free))
	}
	return nil
}

// finish compares and renames.
func (u *upload) finish(ctx context.Context) error {
	args := []string{u.temp, u.sum(), u.file.Path, u.mode(), ""}
	out, err := u.conn.Run(ctx, Command{Script: finishScript, Args: args})
	if err == nil && out.Exit == exitNoHash {
		if err := u.readBack(ctx); err != nil {
			return err
		}
		args[4] = "read"
		out, err = u.conn.Run(ctx, Command{Script: finishScript, Args: args})
	}
	if err != nil {
		return err
	}
	if out.Exit != 0 {
		return u.errScript(out)
	}
	return nil
}

// errScript is what the exit status of one of the scripts means.
func (u *upload) errScript(out Output) error {
	at := u.folder + " on " + u.conn.name
	switch out.Exit {
	case exitNoFolder:
		return ops.Errorf(ops.CodeNotFound, "there is no folder %s", at).WithHint("make it there: mkdir -p")
	case exitIsFolder:
		return ops.Errorf(ops.CodeConflict, "%s on %s is a folder", u.file.Path, u.conn.name).WithHint("move it away")
	case exitDifferent:
		return ops.Errorf(ops.CodeInternal, "what arrived in %s is not what was sent: %w", at, failure(out)).
			WithHint("try again; if it happens twice, suspect the machine's disk or memory")
	}
	said := string(out.Stderr)
	switch {
	case strings.Contains(said, "No space left") || strings.Contains(said, "quota exceeded"):
		return ops.Errorf(ops.CodeUnavailable, "the disk is full in %s: %w", at, failure(out)).WithHint("make room there")
	case out.Exit == exitNoWrite && strings.Contains(said, "Read-only"):
		return ops.Errorf(ops.CodeDenied, "%s is read-only: %w", at, failure(out)).WithHint("mount it writable, or choose another folder")
	case out.Exit == exitNoWrite || strings.Contains(said, "ermission denied") || strings.Contains(said, "not permitted"):
		return ops.Errorf(ops.CodeDenied, "%s cannot be written: %w", at, failure(out)).WithHint("see the folder's owner and mode, and the machine's disk")
	}
	return ops.Errorf(ops.CodeUnavailable, "put %s in place on %s: %w", u.file.Path, u.conn.name, failure(out)).WithHint("see the machine's disk and its log, then try again")
}
