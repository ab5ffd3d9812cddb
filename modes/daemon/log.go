package daemon

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// maxLog is how large a log may be when a daemon starts; a larger one is put
// aside as .1, in place of the one put aside before.
const maxLog = 16 << 20

// openLog opens the log at path for appending, and makes its folder.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put the full log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return f, nil
}

// Logger returns the log of the daemon called mode. It writes JSON lines to the
// file at path; a daemon in the foreground shows them on stderr too, for a
// person where that is a terminal. The closer is for the daemon's end.
func Logger(mode, path string, stderr io.Writer, detached bool) (zerolog.Logger, io.Closer, error) {
	if detached { // stderr is the file already
		return logger(mode, stderr), io.NopCloser(nil), nil
	}
	f, err := openLog(path)
	if err != nil {
		return zerolog.Nop(), nil, err
	}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		stderr = zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.TimeOnly}
	}
	return logger(mode, zerolog.MultiLevelWriter(f, stderr)), f, nil
}

func logger(mode string, w io.Writer) zerolog.Logger {
	return zerolog.New(w).Level(zerolog.InfoLevel).With().Timestamp().Str("mode", mode).Logger()
}
