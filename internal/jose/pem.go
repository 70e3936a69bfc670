package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
)

// ParsePEM reads one PEM block: a public key (SubjectPublicKeyInfo or PKCS #1), a
// private key (PKCS #8, PKCS #1 or SEC 1) or a certificate, of which it takes the
// public key and nothing else. An empty id stands for the thumbprint.
func ParsePEM(alg Algorithm, id string, data []byte) (*Key, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, malformed("key", "no PEM block")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, malformed("key", "bytes after the PEM block")
	}
	material, err := parseDER(block.Type, block.Bytes)
	if err != nil || material == nil {
		return nil, malformed("key", "PEM block holds no key that can be read")
	}
	return NewKey(alg, id, material)
}

func parseDER(kind string, der []byte) (any, error) {
	switch kind {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(der)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(der)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(der)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(der)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	default:
		return nil, nil
	}
}
