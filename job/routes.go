package job

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"rbee.dev/rbee/ops"
)

// maxBody bounds the body of a request: a prompt of MaxPromptBytes with every
// character escaped stays below.
const maxBody = 8 << 20

// routes builds the HTTP API. echo only routes: handlers hand nothing of it on.
func (s *Server[O]) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(c.Response(), c.Request(), err) }
	e.Use(s.checks)
	e.GET("/health", s.getHealth)
	e.HEAD("/health", s.getHealth)
	e.POST("/v1/jobs", s.postJob)
	e.GET("/v1/jobs", s.getJobs)
	e.GET("/v1/jobs/:id", s.getJob)
	e.DELETE("/v1/jobs/:id", s.deleteJob)
	e.GET("/v1/jobs/:id/stream", s.getStream)
	e.GET("/v1/state/stream", func(c echo.Context) error {
		s.streamState(c.Response().Writer, c.Request())
		return nil
	})
	for _, r := range e.Routes() {
		s.known[r.Method+" "+r.Path] = true
	}
	return e
}

// ServeHTTP serves the whole API with its checks.
func (s *Server[O]) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Routes lists every route, as Admit is asked about them.
func (s *Server[O]) Routes() []string {
	var list []string
	for _, r := range s.echo.Routes() {
		list = append(list, r.Method+" "+r.Path)
	}
	slices.Sort(list)
	return list
}

// Mount adds a route of the mode's own behind the same checks, before the server
// serves.
func (s *Server[O]) Mount(method, path string, h http.Handler) {
	s.known[method+" "+path] = true
	s.echo.Add(method, path, echo.WrapHandler(h))
}

func (s *Server[O]) getHealth(c echo.Context) error {
	status := ops.HealthOK
	if s.gone.Load() {
		status = ops.HealthStopping
	}
	return c.JSON(http.StatusOK, ops.Health{
		Status: status, Mode: s.Mode, Version: s.Version, Build: s.Build, PID: os.Getpid(),
	})
}

func (s *Server[O]) postJob(c echo.Context) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, c.Request().Body, maxBody))
	if err != nil {
		return ops.Invalid("body", "cannot be read: %w", err)
	}
	o, id, err := ops.Decode[O](body)
	if err != nil {
		return err
	}
	by := callerOf(c.Request().Context())
	if by.May != nil {
		if err := by.May(o); err != nil {
			return err
		}
	}
	if err := s.refuses(c.Request().Context(), o, id, by); err != nil {
		return err
	}
	j, err := s.submit(o, id, by)
	if err != nil {
		return err
	}
	if wantsStream(c.Request()) {
		return s.follow(c, j, 0)
	}
	return c.JSON(http.StatusAccepted, ops.Accepted{JobID: j.id, SSEURL: "/v1/jobs/" + j.id + "/stream"})
}

func (s *Server[O]) getJobs(c echo.Context) error {
	list := ops.Jobs{Jobs: []ops.Job{}}
	by := callerOf(c.Request().Context())
	for _, j := range s.all() {
		if by.sees(j) {
			list.Jobs = append(list.Jobs, j.Info())
		}
	}
	slices.SortFunc(list.Jobs, func(a, b ops.Job) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return c.JSON(http.StatusOK, list)
}

// named finds the job that the path names.
func (s *Server[O]) named(c echo.Context) (*job, error) {
	id := c.Param("id")
	if plain, err := url.PathUnescape(id); err == nil && c.Request().URL.RawPath != "" { // echo routes by that, where it is
		id = plain
	}
	return s.find(id, callerOf(c.Request().Context()))
}

func (s *Server[O]) getJob(c echo.Context) error {
	j, err := s.named(c)
	if err != nil {
		return err
	}
	info, err := j.whole()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, info)
}

func (s *Server[O]) deleteJob(c echo.Context) error {
	j, err := s.named(c)
	if err != nil {
		return err
	}
	j.cancel(ops.Errorf(ops.CodeCancelled, "the job was cancelled"))
	return c.JSON(http.StatusOK, j.Info())
}

func (s *Server[O]) getStream(c echo.Context) error {
	j, err := s.named(c)
	if err != nil {
		return err
	}
	after, err := lastEventID(c.Request())
	if err != nil {
		return err
	}
	return s.follow(c, j, after)
}

// wantsStream reports whether a submitter asks for the job's stream at once, in
// place of its address.
func wantsStream(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Accept"))
	return err == nil && kind == "text/event-stream"
}

// follow answers with the job's events behind the one called after.
func (s *Server[O]) follow(c echo.Context, j *job, after uint64) error {
	reader, err := j.log.reader(after)
	if err != nil {
		return err
	}
	s.stream(c.Response().Writer, c.Request(), j, reader)
	return nil
}
