package observe

import "github.com/prometheus/client_golang/prometheus"

// figure is one number of what a look has found.
type figure[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(S) float64
}

// counter is a number that grows, gauge any other. They may have one label with its value.
func counter[S any](name, help string, of func(S) float64, label ...string) figure[S] {
	return figure[S]{describe(name, help, label), prometheus.CounterValue, of}
}

func gauge[S any](name, help string, of func(S) float64, label ...string) figure[S] {
	return figure[S]{describe(name, help, label), prometheus.GaugeValue, of}
}

func describe(name, help string, label []string) *prometheus.Desc {
	labels := prometheus.Labels{}
	if len(label) == 2 {
		labels[label[0]] = label[1]
	}
	return prometheus.NewDesc(name, help, nil, labels)
}

// show has each scrape look once, so that the figures are of one moment, and cost one look.
func show[S any](m *Metrics, look func() S, figures ...figure[S]) {
	m.registry.MustRegister(&shown[S]{look, figures})
}

// shown is the figures of one thing.
type shown[S any] struct {
	look    func() S
	figures []figure[S]
}

// Describe names the figures.
func (s *shown[S]) Describe(to chan<- *prometheus.Desc) {
	for _, f := range s.figures {
		to <- f.desc
	}
}

// Collect looks.
func (s *shown[S]) Collect(to chan<- prometheus.Metric) {
	found := s.look()
	for _, f := range s.figures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(found))
	}
}
