package queen

import (
	"context"
	"time"
)

// saveEvery is how often what the queen has learnt is written to the database:
// behind the requests, so that these do not pay for it. A hive under load says
// something new fifty times a second, and only the newest counts.
const saveEvery = 2 * time.Second

// saving writes down what the queen has learnt, now and then, until ctx ends.
func (q *Queen) saving(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return // close saves a last time, when nobody says anything more
		case <-tick.C:
			q.save(context.WithoutCancel(ctx), false)
		}
	}
}

// save writes down what the hives say, what the keys have used and why requests
// went where they did, each as far as it is news: of the newest requests, or of all.
func (q *Queen) save(ctx context.Context, all bool) {
	q.writing.Lock()
	defer q.writing.Unlock()
	if err := q.books.save(ctx, q.store); err != nil {
		q.Log.Warn().Err(err).Msg("what the hives say is not remembered")
	}
	if err := q.access.Write(ctx); err != nil {
		q.Log.Warn().Err(err).Msg("what the keys have used is not written down yet")
	}
	if _, err := q.saveExplanations(ctx, all); err != nil {
		q.Log.Warn().Err(err).Msg("why requests went where they did is not written down yet")
	}
}

// settle writes down what was left for a quiet moment, which is now.
func (q *Queen) settle() { q.save(context.Background(), true) }

// saveExplanations writes down why requests went where they did, and has the
// scheduler forget those that are over. What cannot be written is kept for the next
// time; it returns of how many requests that is.
func (q *Queen) saveExplanations(ctx context.Context, all bool) (unwritten int, err error) {
	for {
		news := q.schedule.News(explainedAtOnce)
		if err := q.store.SaveExplanations(ctx, news); err != nil {
			q.schedule.Untold(news)
			return q.schedule.Unwritten(), err
		}
		q.schedule.Written(news)
		if !all || len(news) < explainedAtOnce {
			return 0, nil
		}
	}
}
