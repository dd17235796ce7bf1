// Go's coder/websocket. Takes the sender's address, a number of messages and
// their size; prints the rate.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	ctx := context.Background()
	socket, _, err := websocket.Dial(ctx, os.Args[1], nil)
	check(err)
	socket.SetReadLimit(-1)

	kept := 0
	run := func(count int) {
		order := fmt.Sprintf(`{"count":%d,"size":%s}`, count, os.Args[3])
		check(socket.Write(ctx, websocket.MessageText, []byte(order)))
		for range count {
			_, data, err := socket.Read(ctx)
			check(err)
			kept += len(string(data))
		}
	}
	run((count + 4) / 5) // to warm up
	start := time.Now()
	run(count)
	fmt.Printf("[%f]\n", float64(count)/time.Since(start).Seconds())
}
