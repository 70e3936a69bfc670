package server

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
)

// signer is the key ring with a watch on how long its signatures take.
type signer struct {
	*key.Ring
	first   func(key.SetName) jose.Algorithm // of a set's algorithms
	observe func(set key.SetName, alg jose.Algorithm, took time.Duration)
}

func (s *Server) signer() signer {
	return signer{
		Ring:    s.core.Keys,
		first:   func(set key.SetName) jose.Algorithm { return s.core.Config.Keys[set].Algorithms[0] },
		observe: s.metrics.Signed,
	}
}

// Sign is [key.Ring.Sign].
func (s signer) Sign(ctx context.Context, set key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error) {
	began := time.Now()
	token, err := s.Ring.Sign(ctx, set, alg, typ, claims)
	if err != nil {
		return "", err
	}
	if alg == "" {
		alg = s.first(set)
	}
	s.observe(set, alg, time.Since(began))
	return token, nil
}
