#!/bin/sh
# Makes a certificate authority and a server certificate for `localhost` that last a hundred years. Run it here.
set -eu
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out tls-ca.pem \
    -days 36500 -subj "/CN=test CA" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls-server.key -out server.csr -subj /CN=localhost
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n' > server.ext
openssl x509 -req -in server.csr -CA tls-ca.pem -CAkey ca.key -days 36500 -set_serial 2 -extfile server.ext -out tls-server.pem
rm ca.key server.csr server.ext
