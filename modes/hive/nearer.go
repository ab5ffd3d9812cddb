package hive

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

const (
	// askWithin is how long a queen may take to tell who else has a model, her
	// connection included, of a hive that she has just started.
	askWithin = time.Second
	// raceWithin bounds how long two ways are tried.
	raceWithin = 15 * time.Second
)

// having is the plans for a model that other hives have: from the source, or with
// the sum.
func (m *models) having(ctx context.Context, source, sum string) []plan {
	bounded, cancel := context.WithTimeout(ctx, m.askWithin)
	defer cancel()
	var list ops.Models
	if err := m.wants.tell(bounded, ops.Want{Source: source, SHA256: sum}, &list); err != nil {
		return nil // it is only a shorter way
	}
	var plans []plan
	for _, model := range list.Models {
		if p, err := m.elsewhere(ctx, ops.HiveScheme+model.HiveID+"/"+model.ID); err == nil {
			plans = append(plans, p)
		}
	}
	return plans
}

// resolveOr is resolve, but where a server is not reached and another hive has
// what is meant, it is taken from there.
func (m *models) resolveOr(ctx context.Context, f *fetch.Fetcher, from string) (plan, error) {
	p, err := m.resolve(ctx, f, from)
	if ops.CodeOf(err) != ops.CodeUnavailable || !strings.HasPrefix(from, fetch.HubPrefix) || ctx.Err() != nil {
		return p, err
	}
	others := m.having(ctx, from, "")
	if len(others) == 0 {
		return p, err
	}
	other := usualOf(others)
	other.choice = fmt.Sprintf("the Hub is not reached (%v), and hive %s has %s: taking that", err, other.hive, other.source)
	name, _, _ := ops.SplitName(path.Base(other.file()))
	other.name = nameOf(name)
	return other, nil
}

// file is the one of a repository that a plan's source names.
func (p plan) file() string { return p.source[strings.LastIndex(p.source, ":")+1:] }

// usualOf is the plan that brings the most usual quantisation, of one repository's.
func usualOf(plans []plan) plan {
	return slices.MinFunc(plans, func(a, b plan) int { return cmp.Compare(fetch.Rank(a.file()), fetch.Rank(b.file())) })
}

// nearer is the plan by which a model comes sooner, of the one from its source and
// those from hives that have it: both are asked for the beginning at the same
// time, and whoever brings it first brings the rest. What was begun in one way
// goes on in it.
func (m *models) nearer(ctx context.Context, f *fetch.Fetcher, p plan, temp string) plan {
	if len(p.files) == 0 || p.hive != "" {
		return p
	}
	sum := ""
	if len(p.files) == 1 {
		sum = p.files[0].SHA256
	}
	for _, other := range m.having(ctx, p.source, sum) {
		if !interchangeable(p, other) {
			continue
		}
		other.source, other.name = p.source, p.name
		copy(other.names, p.names)                                          // so that either way can go on with the other's
		if at := filepath.Join(temp, p.names[0]); p.files[0].SHA256 == "" { // unless nothing would tell that it is the same
			switch {
			case fetch.Have(at, p.files[0]) > 0:
				return p
			case !m.current(ctx, f, p, other):
				continue
			case fetch.Have(at, other.files[0]) > 0:
				return other
			}
		}
		racing, cancel := context.WithTimeout(ctx, raceWithin)
		sooner, err := f.Sooner(racing, p.files[0], other.files[0])
		cancel()
		if !sooner || err != nil {
			m.giveBack(ctx, other)
		}
		switch {
		case err != nil:
			return p // which says what is wrong
		case sooner:
			ops.Narrate(ctx, "model_choose", "hive %s has it, and brings the first %s sooner than its source: taking it from there",
				other.hive, humanize.IBytes(fetch.SampleSize))
			return other
		}
		ops.Narrate(ctx, "model_choose", "hive %s has it too, but its source brings the first %s sooner", other.hive, humanize.IBytes(fetch.SampleSize))
		return p
	}
	return p
}

// current reports whether what another hive has is what p's source has now, as far as
// the source tells. Of a source that does not answer, it is what there is.
func (m *models) current(ctx context.Context, f *fetch.Fetcher, p, other plan) bool {
	ctx, cancel := context.WithTimeout(ctx, raceWithin)
	defer cancel()
	how := ""
	for i, file := range p.files {
		if how == "" && other.marks[i] == "" {
			how = "nothing tells whether its source still has the same"
		}
		if how == "" {
			how = serverChanged(ctx, f, file, ops.FileSum{Size: other.files[i].Size}, other.marks[i])
		}
	}
	if how == "" {
		return true
	}
	ops.Narrate(ctx, "model_choose", "hive %s has it, but that is not taken: %s", other.hive, how)
	m.giveBack(ctx, other)
	return false
}

// fetchNearest downloads a model's files in the way that is nearer, or from their
// source after all where that breaks for good.
func (m *models) fetchNearest(ctx context.Context, f *fetch.Fetcher, d *download, p plan, temp, id string, about *manifest) error {
	if err := d.awaitOthers(ctx); err != nil {
		return err
	}
	here, err := m.linkHere(ctx, d, p, temp)
	if err != nil {
		return err
	}
	chosen := p
	if len(here) < len(p.files) {
		chosen = m.nearer(ctx, f, p, temp)
	}
	err = m.fetchFiles(ctx, f, d, chosen, here, temp, id, about)
	if chosen.hive == p.hive || ops.CodeOf(err) != ops.CodeUnavailable || ctx.Err() != nil {
		return err
	}
	ops.Warn(ctx, "model_retry", "it does not come from hive %s: %v", chosen.hive, err)
	*about = manifest{Source: p.source}
	return m.fetchFiles(ctx, f, d, p, here, temp, id, about)
}

// interchangeable reports whether two plans bring the same files, as far as sums
// and sizes tell. A sum that the source gives is checked whatever way they come.
func interchangeable(p, other plan) bool {
	if len(p.files) > len(other.files) {
		return false
	}
	for i, file := range p.files {
		there := &other.files[i]
		if file.Size >= 0 && file.Size != there.Size || file.SHA256 != "" && there.SHA256 != "" && file.SHA256 != there.SHA256 {
			return false
		}
		if there.SHA256 == "" {
			there.SHA256 = file.SHA256
		}
	}
	return true
}
