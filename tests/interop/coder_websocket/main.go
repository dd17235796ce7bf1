// Echoes messages, long ones in fragments, with each mode of compression.
//
// Prints the port of each mode as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"

	"github.com/coder/websocket"
)

var modes = map[string]websocket.CompressionMode{
	"disabled":            websocket.CompressionDisabled,
	"context_takeover":    websocket.CompressionContextTakeover,
	"no_context_takeover": websocket.CompressionNoContextTakeover,
}

func main() {
	ports := map[string]int{}
	for name, mode := range modes {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		ports[name] = listener.Addr().(*net.TCPAddr).Port
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode})
			if err != nil {
				return
			}
			connection.SetReadLimit(-1)
			for echo(connection) == nil {
			}
		}))
	}
	json.NewEncoder(os.Stdout).Encode(ports)
	select {}
}

func echo(connection *websocket.Conn) error {
	kind, message, err := connection.Read(context.Background())
	if err != nil {
		return err
	}
	if len(message) < 1000 {
		return connection.Write(context.Background(), kind, message)
	}
	writer, err := connection.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	size := len(message) / 3
	for at := 0; at < len(message); at += size {
		if _, err = writer.Write(message[at:min(at+size, len(message))]); err != nil {
			return err
		}
	}
	return writer.Close()
}
